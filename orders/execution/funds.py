"""Whether a wallet has what an order is about to spend; it is reserved before the order is routed."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from uuid import UUID

from orders.execution.work import NothingToSell, WalletNotInUse
from orders.ledger.funds import SOL, Ask, Behind, Granted, NotInUse, Outcome, Short
from orders.ledger.values import Claimed
from orders.wire import text
from routing.balances import Balances, Holding
from routing.values import SOL_DECIMALS, Fate, Swap, SwapStatus, Token
from routing.venue import InsufficientFunds, VenueUnavailable

LOOK_AGE_S = 0.4
"""Of balances that are used again: about a slot. What landed since is still reserved."""
MAX_LOOKS = 10_000
ROUNDS = 6
"""Looks at balances that others overtake. More says that no node keeps up."""
UNSURE_ROUNDS, UNSURE_PAUSE_S = 3, 0.4
"""While it depends on transactions under way whether there is enough, the chain is asked so often, a slot apart."""


Settled = tuple[tuple[UUID, ...], int]
"""The orders under way whose transactions have landed or never will, and the slot of the last landing."""


class Funds:
    """`reserve` writes (`orders.ledger.writers.Reserver`); `status` asks the chain; `unresolved` reads the open intents."""

    def __init__(
        self,
        balances: Balances,
        *,
        reserve: Callable[[Ask], Awaitable[Outcome]],
        unresolved: Callable[[str], Awaitable[Sequence[tuple[UUID, Swap]]]],
        status: Callable[[Sequence[Swap]], Awaitable[list[SwapStatus]]],
        max_fee_lamports: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._balances, self._reserve, self._unresolved, self._status = balances, reserve, unresolved, status
        self._max_fee_lamports = max_fee_lamports
        self._clock = clock
        self._looks: dict[tuple[str, str], tuple[float, asyncio.Future[Holding]]] = {}
        self._settling: dict[str, tuple[float, asyncio.Future[Settled]]] = {}

    async def reserve(self, order: Claimed, token: Token, amount: Decimal | None) -> Decimal:
        """What of tokenIn is sold in this attempt, reserved: `amount`, or the order's share of what is free.

        Raises `InsufficientFunds`, `NothingToSell`, `WalletNotInUse`, `VenueUnavailable`.
        """
        landed: tuple[UUID, ...] = ()
        at_least = unsure = 0
        for _ in range(ROUNDS):
            match await self._reserve(
                self._ask(order, token, amount, await self._look(order, token, at_least), landed)
            ):
                case Granted(units):
                    return Decimal(units).scaleb(-token.decimals)
                case NotInUse():
                    raise WalletNotInUse
                case Behind(slot):
                    at_least = slot
                case Short(unsure=True) if unsure < UNSURE_ROUNDS:
                    if unsure:
                        await asyncio.sleep(UNSURE_PAUSE_S)
                    unsure += 1
                    landed, slot = await self._settled(order.wallet or "")
                    at_least = max(at_least, slot)
                case Short() as short:
                    raise shortage(order, token, short)
        raise VenueUnavailable("the wallet's balances are not known as of now")

    def _ask(
        self, order: Claimed, token: Token, amount: Decimal | None, holding: Holding, landed: tuple[UUID, ...]
    ) -> Ask:
        assert order.wallet is not None
        return Ask(
            order_id=order.id,
            epoch=order.epoch,
            account_id=order.account_id,
            wallet=order.wallet,
            mint=token.mint,
            units=None if amount is None else int(amount.scaleb(token.decimals)),
            percent=order.percent,
            lamports=min(order.max_fee_lamports or self._max_fee_lamports, self._max_fee_lamports),
            holding=holding,
            not_counted=landed,
        )

    async def _look(self, order: Claimed, token: Token, at_least: int) -> Holding:
        """One question for all that ask at the same time."""
        assert order.wallet is not None
        key, now = (order.wallet, token.mint), self._clock()
        seen = self._looks.get(key)
        if seen is not None and now - seen[0] < LOOK_AGE_S:
            holding = await asyncio.shield(seen[1])
            if holding.slot >= at_least:
                return holding
        if len(self._looks) >= MAX_LOOKS:
            self._looks.clear()
        look = asyncio.ensure_future(self._balances.spendable(order.wallet, token, at_least=at_least))
        self._looks[key] = now, look
        try:
            return await asyncio.shield(look)
        except VenueUnavailable:
            self._looks.pop(key, None)
            raise

    async def _settled(self, wallet: str) -> Settled:
        """One question for all that ask within a slot."""
        now, seen = self._clock(), self._settling.get(wallet)
        if seen is None or now - seen[0] >= LOOK_AGE_S:
            if len(self._settling) >= MAX_LOOKS:
                self._settling.clear()
            seen = self._settling[wallet] = now, asyncio.ensure_future(self._ask_chain(wallet))
        return await asyncio.shield(seen[1])

    async def _ask_chain(self, wallet: str) -> Settled:
        at_least = 0
        open_ = await self._unresolved(wallet)
        statuses = await self._status([swap for _, swap in open_])
        done = []
        for (order_id, _), status in zip(open_, statuses, strict=True):
            if status.fate is not Fate.PENDING:
                done.append(order_id)
                if status.fill is not None and status.fill.slot is not None:
                    at_least = max(at_least, status.fill.slot)
        return tuple(done), at_least


def shortage(order: Claimed, token: Token, short: Short) -> InsufficientFunds | NothingToSell:
    if order.percent is not None and short.mint == token.mint and not short.need:
        return NothingToSell()
    sol = short.mint != token.mint
    symbol, decimals = ("SOL for fees", SOL_DECIMALS) if sol else (token.label, token.decimals)
    have, need = (text(Decimal(units).scaleb(-decimals)) for units in (short.have, short.need))
    error = InsufficientFunds(f"the wallet has {have} {symbol} free and the order needs {need}")
    error.details = {"have": have, "need": need, "token": SOL if sol else token.mint}
    return error
