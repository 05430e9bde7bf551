"""The arithmetic of a quote, and which venue wins. Pure: values and `now` go in, values come out."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, ROUND_UP, Context, Decimal, localcontext

from routing import tokens
from routing.values import Pair, Quote, Refusal, Selection, Tick
from routing.venue import AmountTooSmall, InsufficientLiquidity, VenueError

BPS = 10_000

MAX_IMPACT_BPS = Decimal(5_000)
"""An order as large as the pool's own side moves the price by half; beyond that the pool is too small for it.
It equals the largest slippage that a client may ask for."""

FUTURE_TOLERANCE = timedelta(seconds=1)
"""How far ahead a venue's clock may run before its quotes are taken for nonsense."""

# The default 28 digits do not hold amount × price exactly, and rounding the product could round it up.
_EXACT = Context(prec=60)
# Multiplying is several times cheaper than dividing by 10,000, and every order is quoted twice.
_PER_BPS = Decimal("0.0001")
_UNITS = [Decimal(1).scaleb(-decimals) for decimals in range(20)]


class NoQuote(VenueError):
    """No venue offers a usable quote."""

    code = "NO_QUOTE"

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        """`code` is the venues' own where they agree; `permanent` only when every one of them is."""
        super().__init__("; ".join(f"{refusal.venue}: {refusal.message}" for refusal in refusals))
        self.refusals = tuple(refusals)
        self.permanent = bool(refusals) and all(refusal.permanent for refusal in refusals)
        codes = {refusal.code for refusal in refusals}
        if len(codes) == 1:
            self.code = codes.pop()


def select(quotes: Sequence[Quote], refusals: Sequence[Refusal], *, now: datetime, max_age: timedelta) -> Selection:
    """The highest net output wins; a tie goes to the earlier quote, then to the venue's name.

    Quotes older than `max_age` or from the future are refused as `STALE_QUOTE`; `NoQuote` if none is left.
    """
    usable = [quote for quote in quotes if _is_fresh(quote, now, max_age)]
    stale = [_stale(quote, now) for quote in quotes if not _is_fresh(quote, now, max_age)]
    refused = (*refusals, *stale)
    if not usable:
        raise NoQuote(refused)
    ranked = sorted(usable, key=lambda quote: (-quote.amount_out, quote.observed_at, quote.venue))
    return Selection(winner=ranked[0], reason=_reason(ranked), quotes=tuple(quotes), refusals=refused)


def best_tick(ticks: Iterable[Tick], *, now: datetime, max_age: timedelta) -> Tick | None:
    """The highest net price (after the fee, before any impact) among fresh ticks; a tie as in `select`."""
    fresh = [tick for tick in ticks if -FUTURE_TOLERANCE <= now - tick.observed_at <= max_age]
    return min(fresh, key=lambda tick: (-tick.net_price, tick.observed_at, tick.venue), default=None)


def quote_from_tick(pair: Pair, tick: Tick, amount: Decimal, *, cached: bool) -> Quote:
    """What the pool pays for `amount` of tokenIn, by the constant product x × y = k.

    The venue's fee is taken from the input; selling a value of n into a side of depth L then pays
    1 / (1 + n/L) of the pool's price. Raises `AmountTooSmall` below one base unit of tokenOut,
    `InsufficientLiquidity` beyond `MAX_IMPACT_BPS`.
    """
    with localcontext(_EXACT):
        paid = amount * (BPS - tick.fee_bps) * _PER_BPS
        ideal_out = paid * tick.price
        worth = ideal_out if tokens.quote_token(pair) == pair.token_out else paid
        depth = tick.liquidity
        if depth <= 0 or worth * BPS > (depth + worth) * MAX_IMPACT_BPS:
            raise InsufficientLiquidity(venue=tick.venue)
        amount_out = round_down(ideal_out * depth / (depth + worth), pair.token_out.decimals)
        if amount_out <= 0:
            raise AmountTooSmall(venue=tick.venue)
        impact_bps = (worth * BPS / (depth + worth)).quantize(_UNITS[2], ROUND_UP)
    return Quote(
        pair=pair.name,
        venue=tick.venue,
        amount_in=amount,
        amount_out=amount_out,
        price=tick.price,
        fee_bps=tick.fee_bps,
        impact_bps=impact_bps,
        observed_at=tick.observed_at,
        cached=cached,
    )


def min_out(quote: Quote, slippage_bps: int, limit_price: Decimal | None = None) -> Decimal:
    """The least tokenOut that the order accepts: its slippage below the quote, never below its limit price.

    Rounded up to base units, because one unit less would already be worse than asked. It exceeds the quote's
    own output when the quote is below the limit. Raises `ValueError` for a pair that is not in the registry.
    """
    pair = tokens.pair_named(quote.pair)
    if pair is None:
        raise ValueError(f"unknown pair {quote.pair}")
    with localcontext(_EXACT):
        floor = quote.amount_out * (BPS - slippage_bps) / BPS
        if limit_price is not None:
            floor = max(floor, quote.amount_in * limit_price)
        return round_up(floor, pair.token_out.decimals)


def round_down(amount: Decimal, decimals: int) -> Decimal:
    """To whole base units of a token with so many decimals."""
    return amount.quantize(_UNITS[decimals], ROUND_DOWN, context=_EXACT)


def round_up(amount: Decimal, decimals: int) -> Decimal:
    return amount.quantize(_UNITS[decimals], ROUND_UP, context=_EXACT)


def _is_fresh(quote: Quote, now: datetime, max_age: timedelta) -> bool:
    return -FUTURE_TOLERANCE <= now - quote.observed_at <= max_age


def _stale(quote: Quote, now: datetime) -> Refusal:
    age_ms = round((now - quote.observed_at) / timedelta(milliseconds=1))
    return Refusal(quote.venue, "STALE_QUOTE", f"The quote is {age_ms} ms old.")


def _reason(ranked: Sequence[Quote]) -> str:
    """One sentence on why the first of the ranked quotes won."""
    winner = ranked[0]
    if len(ranked) == 1:
        return f"only {winner.venue} answered"
    second = ranked[1]
    pays = f"{winner.venue} pays {winner.amount_out.normalize():f} {winner.pair.partition('-')[2]}"
    if winner.amount_out == second.amount_out:
        earlier = winner.observed_at < second.observed_at
        why = "and its quote is older" if earlier else "and comes first by name"
        return f"{pays}, the same as {second.venue}, {why}"
    more = (winner.amount_out / second.amount_out - 1) * 100
    if more < Decimal("0.01"):
        return f"{pays}, less than 0.01 % more than {second.venue}"
    return f"{pays}, {more:.2f} % more than {second.venue}"
