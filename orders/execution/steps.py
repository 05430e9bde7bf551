"""The steps of an attempt: each looks at the order, does its part of the work and returns what happened.

A step writes nothing to the ledger; the executor does, and only then takes the next step.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, Protocol

import msgspec
from msgspec import UNSET, UnsetType, structs

from orders import metrics
from orders.events import (
    GATE_UNKNOWN,
    Amended,
    BidData,
    BuildData,
    ConfirmData,
    ErrorData,
    ExpireData,
    FailData,
    FeeData,
    GateData,
    PartData,
    QuoteData,
    RefusalData,
    RestData,
    RetryData,
    SubmitData,
)
from orders.execution.retry import RetryPolicy
from orders.execution.work import (
    AmountInTooHigh,
    AttemptsExhausted,
    Denied,
    GateError,
    GateFailed,
    GateTimeout,
    KeyUnusable,
    Move,
    PriceImpactTooHigh,
    Reverted,
    TransactionExpired,
    Work,
)
from orders.ledger.values import Claimed, NewOrder
from orders.lifecycle import Event, Status
from orders.limits import asked_in_token_in
from orders.models import OrderType, Resolution, TriggerCondition
from orders.wire import text
from risk.values import Denial, over
from routing.gates import ENGINES, Finding, Gates, Purchase, Verdict, merged, overall
from routing.router import Router
from routing.selection import EXACT, NoQuote, max_in, min_out
from routing.signer import Signer
from routing.values import Fate, Fill, Part, Quote, Refusal, Selection, Swap, SwapStatus, Token
from routing.venue import AmountTooSmall, NoRoute, SplitRefused, SubmitUnknown, SwapRefused, VenueError
from routing.world import registry
from runtime.faults import crash_point
from triggers.rules import fillable_at, is_due


def quote_out(quote: Quote) -> QuoteData:
    """A venue's quote as events and previews show it."""
    return QuoteData(
        venue=quote.venue,
        amount_in=text(quote.amount_in) if quote.exact_out else UNSET,
        amount_out=text(quote.amount_out),
        net_price=text(quote.net_price),
        price=text(quote.price),
        fee_bps=quote.fee_bps,
        impact_bps=text(quote.impact_bps),
        observed_at=quote.observed_at,
        cached=quote.cached,
        parts=parts_out(quote.parts),
        added_fee=text(quote.added_fee) if quote.parts else UNSET,
    )


def parts_out(parts: Iterable[Part]) -> list[PartData] | UnsetType:
    """What goes where; left out where it all goes to one pool."""
    said = [
        PartData(
            venue=part.venue,
            pool=part.pool or UNSET,
            amount_in=text(part.amount_in),
            amount_out=text(part.amount_out),
        )
        for part in parts
    ]
    return said or UNSET


def refusals_out(refusals: Iterable[Refusal]) -> list[RefusalData]:
    return [RefusalData(venue=r.venue, code=r.code, message=r.message) for r in refusals]


def gates_out(findings: Iterable[Finding]) -> list[GateData]:
    return [GateData(gate=each.gate, verdict=each.verdict.value, found=each.found) for each in findings]


Look = Callable[[Purchase], Awaitable[list[Finding]]]
"""What is found of a token that is about to be bought. Raises `VenueError` while the chain does not answer."""


class Looked(msgspec.Struct, frozen=True):
    """What was found, and since when it may be unknown at most."""

    findings: list[Finding]
    timeout: timedelta

    @property
    def verdict(self) -> Verdict:
        return overall(self.findings)


class Wallets(Protocol):
    """What orders with wallets need (`orders.execution.wallets`)."""

    async def signer_of(self, address: str) -> Signer:
        """Raises `KeyUnusable`, `NotSigned`."""
        ...

    async def reserve(self, order: Claimed, token: Token, amount: Decimal | None) -> Decimal:
        """See `Funds.reserve`."""
        ...


class Steps:
    """Without `wallets` orders that have one are not executed."""

    def __init__(
        self,
        router: Router,
        retry: RetryPolicy,
        rng: random.Random,
        *,
        submit_timeout_s: float,
        resend_after_s: float,
        wallets: Wallets | None = None,
        look: Look | None = None,
        look_by_default: bool = True,
        defaults: Callable[[int], Sequence[Gates | None]] = lambda _: (),
    ) -> None:
        """`look`: None where tokens are on no chain. `defaults`: an account's gates, then everybody's; `look_by_default`:
        whether a sniper that asks for no gates is held to any."""
        self._router = router
        self._retry = retry
        self._rng = rng
        self._submit_timeout_s = submit_timeout_s
        self._resend_after_s = resend_after_s
        self._wallets = wallets
        self._look, self._look_by_default, self._defaults = look, look_by_default, defaults

    async def next(self, work: Work) -> Move | None:
        """Takes the step the order's status calls for. None: the outcome of its transaction is still unknown, ask again."""
        move = await self._next(work)
        return once(move) if move is not None and work.order.time_in_force == "ioc" else move

    async def _next(self, work: Work) -> Move | None:
        match work.status:
            case Status.ROUTING:
                return await self._guard(work, self._route)
            case Status.BUILDING:
                return await self._guard(work, self._build)
            case Status.SUBMITTED:
                return await self._settle(work)
            case _:
                raise RuntimeError(f"no step leaves {work.status}")

    async def _guard(self, work: Work, step: Any) -> Move:
        """Before anything is sent every error is an outcome, whatever its kind."""
        try:
            move: Move = await step(work)
            return move
        except VenueError as error:
            return self.failed(work, error)

    async def _route(self, work: Work) -> Move:
        order = work.order
        if order.attempts > self._retry.max_attempts:
            raise AttemptsExhausted
        if order.denied is not None:
            raise Denied(Denial(**order.denied))
        if not await is_known(work) and order.type == OrderType.SNIPER:
            return Move(Event.REST, RestData(attempt=order.attempts, reason="NOT_QUOTABLE"))
        if order.exact_out is None:
            await self._fund(work)
        try:
            # A trigger is checked again with the venues' own quotes, and a failed attempt does not trust the cache either.
            fresh = order.type != OrderType.MARKET or order.attempts > 1
            selection = await self._heard(work, await self._quote(work, fresh=fresh))
        except NoQuote as error:
            if order.type == OrderType.SNIPER and error.code != AmountTooSmall.code:
                error.permanent = False  # A pool that is not ready yet may be in a moment.
            move = self.failed(work, error, refusals=error.refusals)
            if order.type == OrderType.SNIPER and move.event is Event.FAIL and not error.permanent:
                return Move(Event.REST, RestData(attempt=order.attempts, reason="NOT_QUOTABLE"))
            return move
        work.selection = selection
        best = selection.winner
        if (back := unacceptable(order, selection)) is not None:
            return back
        if order.exact_out is not None:
            # What it costs is known only now.
            work.amount = most_in(work, best)
            if best.amount_in > work.amount:
                said = f"it costs {text(best.amount_in)}, and at most {text(work.amount)} may be sold"
                raise AmountInTooHigh(said, venue=best.venue)
            await self._fund(work)
        looked = await self._looked(work, best)
        if looked is not None and looked.verdict is not Verdict.PASS:
            return shut(order, looked)
        return Move(
            Event.BUILD,
            BuildData(
                attempt=order.attempts,
                venue=best.venue,
                reason=selection.reason,
                quotes=[quote_out(quote) for quote in selection.quotes],
                refusals=refusals_out(selection.refusals),
                gates=UNSET if looked is None else gates_out(looked.findings),
            ),
        )

    async def _quote(self, work: Work, *, fresh: bool = True, split: bool = True) -> Selection:
        wanted = work.order.exact_out
        if wanted is not None:
            return await self._router.quote(work.pair, wanted, fresh=fresh, exact_out=True)
        # A sniper's gates look at one pool: what they have not looked at is not bought in.
        split = split and work.order.type != OrderType.SNIPER
        return await self._router.quote(work.pair, work.to_sell, fresh=fresh, split=split)

    async def _heard(self, work: Work, selection: Selection, *, split: bool = True) -> Selection:
        """The same, or the venues' own answer where a cached price would end the order: a cached pool may be anybody's text."""
        ends = selection.winner.cached and is_refused(work.order, selection)
        return await self._quote(work, split=split) if ends else selection

    async def _looked(self, work: Work, offer: Quote) -> Looked | None:
        """What is found of a token that a sniper buys; None where nothing has to hold of it: unless the order asks for gates
        itself, nobody buys unseen what an operator has verified."""
        order, pair = work.order, work.pair
        by_default = self._look is not None and self._look_by_default and not pair.token_out.verified
        if order.type != OrderType.SNIPER or order.gates is None and not by_default:
            return None
        gates = merged([order.gates, *self._defaults(order.account_id), ENGINES])
        purchase = Purchase(
            pair=pair,
            amount=offer.amount_in,
            expected=offer.amount_out,
            venue=offer.venue,
            wallet=order.wallet,
            gates=gates,
        )
        try:
            found = [] if self._look is None else await self._look(purchase)
        except VenueError as error:
            found = [Finding("mint", Verdict.UNKNOWN, str(error))]
        return Looked(found, gates.timeout or timedelta(0))

    async def _build(self, work: Work) -> Move:
        selection = work.selection
        if selection is None:
            raise RuntimeError("building without a selection")
        refusals = list[Refusal]()
        try:
            swap = await self._built(work, selection.winner)
        except SplitRefused as error:
            # Nothing was signed. The best venue alone is held to all that a choice is held to.
            refusals.append(Refusal(selection.winner.venue, error.code, str(error)))
            left = self._router.without(selection, refusals[0])
            work.selection = selection = await self._heard(work, left, split=False)
            if (back := unacceptable(work.order, selection)) is not None:
                return back
            swap = await self._built(work, selection.winner)
        work.swap = swap
        crash_point("before_intent")
        return Move(Event.SUBMIT, submitted(swap, selection.winner, refusals), intent=swap)

    async def _built(self, work: Work, winner: Quote) -> Swap:
        order, signer = work.order, await self._signer(work.order)
        worst, asked = promised(order)
        exact = order.exact_out
        least = min_out(work.pair, winner, order.slippage_bps, worst, asked_price=asked) if exact is None else exact
        return await self._router.seller(winner.venue).build(
            work.pair,
            winner,
            min_out=least,
            slippage_bps=order.slippage_bps,
            reference=str(order.id),
            attempt=order.attempts,
            signer=signer,
            max_fee_lamports=order.max_fee_lamports,
            expired=order.expired,
            max_in=None if exact is None else work.to_sell,
        )

    async def _fund(self, work: Work) -> None:
        """What is sold is reserved of the wallet, and a share is decided. Nothing on the mock, which has no wallets."""
        if work.order.wallet is not None and self._wallets is not None:
            work.amount = await self._wallets.reserve(work.order, work.pair.token_in, work.amount)

    async def _signer(self, order: Claimed) -> Signer | None:
        if order.wallet is None:
            return None
        if self._wallets is None:
            raise KeyUnusable
        return await self._wallets.signer_of(order.wallet)

    async def _settle(self, work: Work) -> Move | None:
        swap = work.swap
        if swap is None:
            raise RuntimeError("submitted without an intent")
        venue = self._router.seller(swap.venue)
        try:
            if not work.sent and work.order.swap is not None:
                status = (await venue.status([swap]))[0]
                if status.fate is not Fate.PENDING:
                    return self._outcome(work, swap, status)
            if work.sent or work.order.swap is not None:
                metrics.RESUBMITS.inc()
            try:
                async with asyncio.timeout(self._submit_timeout_s):
                    await venue.submit(swap)
            except SwapRefused as error:
                return await self._refused(work, swap, error)
            except (SubmitUnknown, TimeoutError, OSError):
                pass  # It may have landed: only the chain knows.
            work.sent = True
            crash_point("after_submit")
            # Not seen after a while: it may have been dropped. The next look sends the same bytes again while they are valid.
            return self._outcome(work, swap, await venue.wait(swap, timeout_s=self._resend_after_s))
        except (VenueError, TimeoutError, OSError):
            return None

    async def _refused(self, work: Work, swap: Swap, error: SwapRefused) -> Move | None:
        """A refusal is about this sending only: the same bytes may have been sent before, by us or by a previous owner."""
        status = (await self._router.seller(swap.venue).status([swap]))[0]
        if status.fate is Fate.PENDING:
            if work.order.swap is not None or work.sent:
                return None
            return self.failed(work, error, resolved=(swap.signature, Resolution.REFUSED))
        return self._outcome(work, swap, status)

    def _outcome(self, work: Work, swap: Swap, status: SwapStatus) -> Move | None:
        match status.fate:
            case Fate.LANDED if status.fill is not None:
                return Move(Event.CONFIRM, fill_out(swap, status.fill), resolved=(swap.signature, Resolution.LANDED))
            case Fate.REVERTED:
                resolved = (swap.signature, Resolution.REVERTED)
                if status.error == "SLIPPAGE_EXCEEDED" and work.order.type == OrderType.LIMIT:
                    data = RestData(reason="MARKET_MOVED_BACK", signature=swap.signature)
                    return Move(Event.REST, data, resolved=resolved)
                reverted = Reverted(status.error, status.message)
                reverted.logs = status.logs
                return self.failed(work, reverted, resolved=resolved)
            case Fate.EXPIRED:
                return self.failed(work, TransactionExpired(), resolved=(swap.signature, Resolution.EXPIRED))
            case _:
                return None

    def failed(
        self,
        work: Work,
        error: VenueError,
        *,
        resolved: tuple[str, str] | None = None,
        refusals: Iterable[Refusal] | None = None,
    ) -> Move:
        """The move after an error. `refusals`: what the venues answered, where none gave a quote."""
        attempt = work.order.attempts
        metrics.RETRIES.labels(error.code).inc()
        said: dict[str, Any] = {
            "attempt": attempt,
            "error": ErrorData(
                attempt=attempt,
                code=error.code,
                message=str(error),
                venue=error.venue or (work.swap.venue if work.swap else None),
                permanent=error.permanent,
                details=error.details or UNSET,
                logs=list(error.logs) or UNSET,
            ),
        }
        if isinstance(error, GateError):
            said["gates"] = gates_out(error.findings)
        if refusals is not None:
            said |= {"quotes": [], "refusals": refusals_out(refusals), "reason": str(error)}
        delay_ms = self._retry.delay_ms(attempt, permanent=error.permanent, rng=self._rng)
        if delay_ms is None:
            return Move(Event.FAIL, FailData(**said), resolved=resolved)
        return Move(Event.RETRY, RetryData(**said, retry_in_ms=delay_ms), delay_ms=delay_ms, resolved=resolved)


async def is_known(work: Work) -> bool:
    """Whether both tokens are known. One that was added within the last second may be known to others and not here yet."""
    try:
        return work.pair is not None
    except NoRoute:
        await asyncio.to_thread(registry.refresh)
    try:
        return work.pair is not None
    except NoRoute:
        return False


def shut(order: Claimed, looked: Looked) -> Move:
    """The move back to resting while a gate is unknown. Raises `GateFailed`, `GateTimeout`."""
    if looked.verdict is Verdict.FAIL:
        raise GateFailed(looked.findings)
    if order.gates_since is not None and order.at - order.gates_since >= looked.timeout:
        raise GateTimeout(looked.findings)
    data = RestData(attempt=order.attempts, reason=GATE_UNKNOWN, gates=gates_out(looked.findings))
    return Move(Event.REST, data)


def most_in(work: Work, best: Quote) -> Decimal:
    """The most of tokenIn that is sold for an exact output: the slippage above the best quote, what the order's price and its own
    number leave, and what its limits of money have counted."""
    order = work.order
    worst, asked = promised(order)
    numbers = [number for number in (order.amount_in_max, order.counted_in) if number is not None]
    return max_in(work.pair, best, order.slippage_bps, worst, asked_price=asked, most=min(numbers, default=None))


def unacceptable(order: Claimed, selection: Selection) -> Move | None:
    """The move back to resting where the best offer is not (any more) what the order waits for; None where it may be taken.

    Raises `PriceImpactTooHigh`, `Denied`.
    """
    best = selection.winner
    if order.type == OrderType.LIMIT and (back := moved_back(order, selection)) is not None:
        return back
    if impact_too_high(order, best):
        raise PriceImpactTooHigh(f"the price impact would be {best.impact_bps:.2f} bps", venue=best.venue)
    if denial := outside(order, selection):
        raise Denied(denial)
    return None


def is_refused(order: Claimed, selection: Selection) -> bool:
    """Whether `unacceptable` would raise for it."""
    return impact_too_high(order, selection.winner) or outside(order, selection) is not None


def impact_too_high(order: Claimed, quote: Quote) -> bool:
    return order.max_price_impact_bps is not None and quote.impact_bps > order.max_price_impact_bps


def outside(order: Claimed, selection: Selection) -> Denial | None:
    """Why the best offer is too far below the market before fees and impact: a thin pool, whatever slippage the order allows."""
    if order.collar_bps is None:
        return None
    below = (1 - selection.winner.net_price / max(quote.price for quote in selection.quotes)) * 10_000
    return over("PRICE_OUTSIDE_COLLAR", round(below, 2), order.collar_bps) if below > order.collar_bps else None


def asked_price(order: Claimed | NewOrder) -> Decimal | None:
    """The limit in tokenIn per tokenOut, where it was asked for so."""
    return asked_in_token_in(order.limit_price, order.asked_price, order.trigger_condition)


def moved_back(order: Claimed, selection: Selection) -> Move | None:
    """The move back to resting where the limit is not reached (any more); None where it is.

    A `gte` limit is a promise about what the order gets, after its own impact on the pool; `fires_at` is the BEST price at
    which it would get that. A stop (`lte`) compares the market price that fired it, without its own impact.
    """
    limit = order.limit_price
    assert limit is not None and order.trigger_condition is not None
    worst = order.worst_price if order.trigger_condition == TriggerCondition.LTE else None
    best = max(quote.price * (10_000 - quote.fee_bps) / 10_000 for quote in selection.quotes)
    gte = order.trigger_condition == TriggerCondition.GTE
    price = selection.winner.net_price if gte else best
    asked, offer = asked_price(order), selection.winner
    if asked is not None and gte:
        # What was promised, without the rounding of its inverse.
        due = EXACT.multiply(offer.amount_out, asked) >= offer.amount_in
    else:
        due = is_due(order.trigger_condition, limit, price)
    if due:
        net = selection.winner.net_price
        if worst is None or net >= worst:
            return None
        # It has fired, and is a limit order from now on.
        becomes = Amended(limit_price=text(worst), trigger_condition=TriggerCondition.GTE)
        fires_at = text(fillable_at(worst, best, net))
        return Move(
            Event.REST, RestData(reason="BELOW_WORST_PRICE", price=text(net), fires_at=fires_at, amended=becomes)
        )
    fires = text(fillable_at(limit, best, price)) if gte else UNSET
    return Move(Event.REST, RestData(reason="MARKET_MOVED_BACK", price=text(price), fires_at=fires))


def once(move: Move) -> Move:
    """The move of an order that is tried once: what would wait, or be tried again, ends."""
    data = move.data
    if isinstance(data, RestData):
        ended = ExpireData(reason="NOT_MARKETABLE", price=data.price)
    elif isinstance(data, RetryData):
        ended = ExpireData(reason="NOT_MARKETABLE", error=data.error)
    else:
        return move
    return Move(Event.EXPIRE, ended, resolved=move.resolved)


def promised(order: Claimed | NewOrder) -> tuple[Decimal | None, Decimal | None]:
    """The worst price that the transaction itself must give, apart from the slippage: tokenOut per tokenIn, and in tokenIn
    where it was asked for so. A stop's limit is only its trigger."""
    if order.type != OrderType.LIMIT:
        return None, None
    if order.trigger_condition == TriggerCondition.GTE:
        return order.limit_price, asked_price(order)
    return order.worst_price, None


def submitted(swap: Swap, offer: Quote, refusals: Sequence[Refusal]) -> SubmitData:
    """`refusals`: what was chosen before it and could not be built."""
    return SubmitData(
        attempt=swap.attempt,
        venue=swap.venue,
        signature=swap.signature,
        min_out=text(swap.min_out),
        valid_until=swap.valid_until,
        wallet=swap.wallet or UNSET,
        amount_in=UNSET if swap.wallet is None or swap.max_in is not None else text(offer.amount_in),
        max_in=UNSET if swap.max_in is None else text(swap.max_in),
        bid=UNSET if swap.bid is None else BidData(**structs.asdict(swap.bid)),
        parts=parts_out(swap.parts),
        refusals=refusals_out(refusals) or UNSET,
    )


def fill_out(swap: Swap, fill: Fill) -> ConfirmData:
    return ConfirmData(
        attempt=swap.attempt,
        venue=swap.venue,
        executed_price=text(fill.executed_price),
        amount_out=text(fill.amount_out),
        amount_in=UNSET if fill.amount_in is None else text(fill.amount_in),
        fee=text(fill.fee),
        tx_hash=fill.signature,
        landed_at=fill.landed_at,
        slot=UNSET if fill.slot is None else fill.slot,
        fees=[FeeData(kind=fee.kind, token=fee.token, amount=text(fee.amount)) for fee in fill.fees] or UNSET,
        units=UNSET if fill.units is None else fill.units,
        parts=parts_out(fill.parts),
    )
