"""Who may send orders, and how many: the caller of a request to the intake, within its limits."""

import asyncio

import psycopg
from django.db import Error as DatabaseError

from accounts.auth import Caller, KeyRing
from accounts.callers import caller_of
from accounts.limits import Limiter
from accounts.models import Scope as Right
from orders import metrics
from orders.errors import ApiError, unavailable
from orders.http.errors import rate_limited
from orders.http.protocol import Request


class Admission:
    def __init__(self, keys: KeyRing, limiter: Limiter) -> None:
        self._keys = keys
        self._limiter = limiter

    async def caller(self, request: Request, headers: dict[str, str]) -> Caller:
        """The caller, who may trade and is within the limits; `headers` gets what the answer says of them.

        Raises `ApiError`: UNAUTHENTICATED, FORBIDDEN, RATE_LIMITED, and UNAVAILABLE while keys cannot be looked up.
        """
        return await (self._within_limits(request, headers) if self._limiter.on else self._caller(request))

    async def charge_batch(self, caller: Caller, request: Request, more: int) -> None:
        """Charges what a batch holds beyond its first order. Raises `ApiError`: RATE_LIMITED."""
        if self._limiter.on and more > 0:
            await self._charge(caller.account_id, request.address, {}, more)

    async def _within_limits(self, request: Request, headers: dict[str, str]) -> Caller:
        """An address with an unknown key pays before the key is looked up."""
        _, caller = self._keys.cached(request.header(b"authorization"))
        if caller is not None and request.header(b"authorization") is not None:
            await self._charge(caller.account_id, request.address, headers)
            return await self._caller(request)
        await self._charge(None, request.address, headers)
        caller = await self._caller(request)
        await self._charge(caller.account_id, None, headers)
        return caller

    async def _charge(
        self, account_id: int | None, address: str | None, headers: dict[str, str], cost: int = 1
    ) -> None:
        ask = self._limiter.ask(account_id, address, cost)
        decision = await self._limiter.take(ask) if ask else None
        if decision is None:
            return
        if not decision.through:
            metrics.RATE_LIMITED.inc()
            raise rate_limited(decision)
        headers.update(decision.headers)

    async def _caller(self, request: Request) -> Caller:
        authorization = request.header(b"authorization")
        known, caller = self._keys.cached(authorization) if authorization else (False, None)
        try:
            if not known:
                async with asyncio.timeout_at(request.ends):
                    caller = await caller_of(self._keys, request.headers, secure=request.secure)
        except (DatabaseError, psycopg.Error, TimeoutError):
            raise unavailable() from None
        if caller is None:
            raise ApiError("UNAUTHENTICATED", "Send a valid key: `Authorization: Bearer <key>`.")
        if not caller.may(Right.TRADE):
            raise ApiError("FORBIDDEN", "This key may not trade.")
        return caller
