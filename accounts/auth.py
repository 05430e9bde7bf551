"""Who is asking: API key, session cookie or ticket, or nobody in local mode."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.sessions.backends.db import SessionStore
from django.db import close_old_connections
from django.db.models import QuerySet
from django.http import HttpRequest, parse_cookie
from django.utils import timezone

from accounts.models import Account, ApiKey, Scope, Ticket, digest
from accounts.roles import OPERATE

KEY_CACHE_S = 2.0
"""A revoked key may work for this long in a process that has just seen it. Sockets are promised to end within five seconds,
of which the check of open ones takes two (`orders.streams.credentials`)."""
MAX_KEYS_CACHED = 10_000
LAST_USED_EVERY_S = 60.0
DEMO = "demo"
"""The account of requests without a key in local mode."""


@dataclass(frozen=True, slots=True)
class Caller:
    account_id: int
    scopes: frozenset[str]
    credential: str = ""
    """What it is based on, as `accounts.standing` names it."""
    name: str = ""
    """Who it is, as events of orders say: `key oe_1a2b3c4`, `user alice`, `local`."""

    @property
    def is_staff(self) -> bool:
        return Scope.STAFF in self.scopes

    def may(self, scope: str) -> bool:
        return scope in self.scopes or Scope.STAFF in self.scopes


LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


def is_loopback(host: str) -> bool:
    """Whether a `Host` header names this machine. A page elsewhere can point a name of its own at it (DNS rebinding),
    so a request without a key is local mode's only under such a name."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower() in LOOPBACK_NAMES


LOCAL_SCOPES = frozenset({Scope.TRADE.value, Scope.READ.value})


class KeyRing:
    """Looks keys up and caches the answer for KEY_CACHE_S, so that a busy key costs one query in that time, not one a request."""

    def __init__(self, *, local_mode: bool, now: Callable[[], float] = time.monotonic) -> None:
        self._local_mode = local_mode
        self._now = now
        self._known: dict[bytes, tuple[float, Caller | None]] = {}
        self._used: dict[bytes, float] = {}

    def cached(self, authorization: str | None) -> tuple[bool, Caller | None]:
        """(known, caller) without asking the database; `known` is False where it must be asked."""
        entry = self._known.get(self._name(authorization))
        if entry is None or entry[0] < self._now():
            return False, None
        return True, entry[1]

    async def caller(self, authorization: str | None) -> Caller | None:
        """The caller of an `Authorization` header; None: not authenticated."""
        known, caller = self.cached(authorization)
        return caller if known else await asyncio.to_thread(self.look_up, authorization)

    def look_up(self, authorization: str | None) -> Caller | None:
        """As `caller`, blocking. Raises `django.db.OperationalError` while Postgres cannot be reached."""
        known, caller = self.cached(authorization)
        if known:
            return caller
        close_old_connections()
        try:
            caller = self._ask(authorization)
        finally:
            close_old_connections()
        if len(self._known) >= MAX_KEYS_CACHED:
            self._known.clear()
        self._known[self._name(authorization)] = (self._now() + KEY_CACHE_S, caller)
        return caller

    def session(self, cookie: str) -> Caller | None:
        """The caller of a browser's `Cookie` header, blocking.

        The Origin must have been checked before: browsers send cookies along from any page.
        """
        key = parse_cookie(cookie).get(settings.SESSION_COOKIE_NAME)
        if not key:
            return None
        close_old_connections()
        try:
            request = HttpRequest()
            request.session = SessionStore(key)
            caller = self.of_user(get_user(request))
            return caller and replace(caller, credential=f"session:{key}")
        finally:
            close_old_connections()

    def of_user(self, user: Any) -> Caller | None:
        """A signed-in user acts as its account; in local mode as `demo`, like everybody there.

        The staff scope comes from the permission `accounts.operate_orders`, not from being staff: `is_staff` only opens
        the admin. A user without an account has no API. Blocking.
        """
        if not user.is_authenticated:
            return None
        mine = {"name": DEMO} if self._local_mode else {"user": user}
        account = Account.objects.filter(**mine).first()
        if account is None:
            return None
        scopes = LOCAL_SCOPES | ({Scope.STAFF.value} if user.has_perm(OPERATE) else set())
        return Caller(account.pk, scopes, name=user_name(user))

    def _name(self, authorization: str | None) -> bytes:
        return digest(authorization) if authorization else b""

    def _ask(self, authorization: str | None) -> Caller | None:
        if not authorization:
            if not self._local_mode:
                return None
            account = Account.objects.filter(name=DEMO).first()
            return Caller(account.pk, LOCAL_SCOPES, name="local") if account else None
        scheme, _, secret = authorization.partition(" ")
        if scheme.lower() != "bearer" or not secret:
            return None
        hashed = digest(secret.strip())
        key = valid_keys().filter(hash=hashed).first()
        if key is None:
            return None
        if self._used.get(hashed, -LAST_USED_EVERY_S) <= self._now() - LAST_USED_EVERY_S:
            self._used[hashed] = self._now()
            ApiKey.objects.filter(pk=key.pk).update(last_used_at=timezone.now())
        return key_caller(key)


def valid_keys() -> QuerySet[ApiKey]:
    """Keys that open something."""
    return ApiKey.objects.filter(revoked_at=None)


def key_caller(key: ApiKey) -> Caller:
    return Caller(key.account_id, frozenset(key.scopes), f"key:{key.pk}", f"key {key.prefix}")


def user_name(user: Any) -> str:
    """As events of orders name somebody who is signed in."""
    return f"user {user.get_username()}"


def redeem(ticket: str) -> Caller | None:
    """The caller of a ticket. A ticket is used once: this deletes it. None: unknown, used or expired."""
    close_old_connections()
    try:
        rows = Ticket.objects.filter(hash=digest(ticket), expires_at__gt=timezone.now())
        row = rows.first()
        if row is None or not Ticket.objects.filter(pk=row.pk).delete()[0]:
            return None
        return Caller(row.account_id, frozenset(row.scopes), row.issuer or "")
    finally:
        close_old_connections()


@cache
def key_ring() -> KeyRing:
    """The one of this process."""
    return KeyRing(local_mode=settings.LOCAL_MODE)
