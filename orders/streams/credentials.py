"""Ends sockets whose credential has ended: revoked key, logout, expired session, new password, person or account that was
deactivated, lost scope."""

import asyncio
import logging
from collections.abc import Collection

from django.db import Error as DatabaseError

from accounts.auth import KeyRing
from accounts.standing import standing
from orders.streams.connection import UNAUTHENTICATED, Socket

log = logging.getLogger(__name__)

CHECK_EVERY_S = 2.0
"""Five seconds are promised; a key's answer may be two seconds old when a socket opens (`accounts.auth.KEY_CACHE_S`)."""


class CredentialCheck:
    """Asks for all open sockets of a process at once. Runs while there are any."""

    def __init__(self, keys: KeyRing, sockets: Collection[Socket]) -> None:
        self._keys = keys
        self._sockets = sockets
        self._checking: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Call it after a socket was opened."""
        if self._checking is None or self._checking.done():
            self._checking = asyncio.create_task(self._check_for_ever())

    async def _check_for_ever(self) -> None:
        while self._sockets:
            await asyncio.sleep(CHECK_EVERY_S)
            try:
                await self.check()
            except DatabaseError as error:  # No order changes meanwhile, so nobody learns what it may not.
                log.warning("credentials of open sockets not checked: %s", str(error).strip())
            except Exception:
                log.exception("credentials of open sockets not checked")

    async def check(self) -> None:
        held: dict[str, list[Socket]] = {}
        for socket in self._sockets:
            if socket.caller.credential:
                held.setdefault(socket.caller.credential, []).append(socket)
        if not held:
            return
        now = await asyncio.to_thread(standing, self._keys, tuple(held))
        for credential, sockets in held.items():
            for socket in sockets:
                if socket.may_go_on(now.get(credential)):
                    continue
                try:
                    socket.end(UNAUTHENTICATED)
                except RuntimeError:  # It is ending by itself. The others must not wait for it.
                    log.exception("a socket could not be ended")
