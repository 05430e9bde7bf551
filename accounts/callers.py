"""Who asks, by the headers of a request: one order of precedence for the intake and sockets."""

import asyncio
from collections.abc import Mapping

from accounts.auth import Caller, KeyRing
from accounts.origin import may_go_keyless, may_use_cookie


async def caller_of(keys: KeyRing, headers: Mapping[bytes, bytes], *, secure: bool) -> Caller | None:
    """A key that is sent decides alone. Else a browser's cookie, and else local mode, count for pages of ours only.

    Raises `django.db.Error` while Postgres is away.
    """
    authorization = text(headers, b"authorization")
    if authorization is not None:
        return await keys.caller(authorization) if authorization else None
    origin, host, cookie = text(headers, b"origin"), text(headers, b"host") or "", text(headers, b"cookie")
    if cookie and may_use_cookie(origin, host, secure=secure):
        caller = await asyncio.to_thread(keys.session, cookie)
        if caller is not None:
            return caller
    return await keys.caller(None) if may_go_keyless(origin, host, secure=secure) else None


def text(headers: Mapping[bytes, bytes], name: bytes) -> str | None:
    value = headers.get(name)
    return None if value is None else value.decode("latin-1")
