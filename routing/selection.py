"""Which venue wins, and what an order accepts: the least output, or the most input for an exact output. Pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, ROUND_UP, Context, Decimal, localcontext

from routing.values import Pair, Quote, Refusal, Selection, Tick
from routing.venue import QuoteDeviates, VenueError, VenueNotPermitted

BPS = 10_000

FUTURE_TOLERANCE = timedelta(seconds=1)
"""How far ahead a venue's clock may run before its quotes are taken for nonsense."""

# The default 28 digits do not hold amount × price exactly, and rounding the product could round it up.
EXACT = Context(prec=60)
_UP = Context(prec=60, rounding=ROUND_UP)
_DOWN = Context(prec=60, rounding=ROUND_DOWN)
_UNITS = [Decimal(1).scaleb(-decimals) for decimals in range(20)]


class NoQuote(VenueError):
    """No venue offers a usable quote."""

    code = "NO_QUOTE"

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        """`code` is the venues' own where they agree; `permanent` only when every one of them is."""
        super().__init__("; ".join(f"{refusal.venue}: {refusal.message.rstrip('.')}" for refusal in refusals))
        self.refusals = tuple(refusals)
        self.permanent = bool(refusals) and all(refusal.permanent for refusal in refusals)
        # A venue that the pair may not use says nothing about the order.
        codes = {each.code for each in refusals if each.code != VenueNotPermitted.code} or {VenueNotPermitted.code}
        if refusals and len(codes) == 1:
            self.code = codes.pop()


def select(quotes: Sequence[Quote], refusals: Sequence[Refusal], *, now: datetime, max_age: timedelta) -> Selection:
    """The highest net output wins, or the least input for an exact output; a tie goes to the earlier quote, then by name.

    A split wins only where it pays more than any venue alone by more than its added fee.

    Quotes older than `max_age` or from the future are refused as `STALE_QUOTE`; `NoQuote` if none is left.
    """
    usable = [quote for quote in quotes if _is_fresh(quote, now, max_age)]
    stale = [_stale(quote, now) for quote in quotes if not _is_fresh(quote, now, max_age)]
    refused = (*refusals, *stale)
    if not usable:
        raise NoQuote(refused)
    # One of the two amounts is what was asked for, of all quotes the same.
    ranked = sorted(usable, key=lambda quote: (quote.amount_in, -_worth(quote), bool(quote.parts), *_first(quote)))
    return Selection(winner=ranked[0], reason=_reason(ranked), quotes=tuple(quotes), refusals=refused)


def best_tick(ticks: Iterable[Tick], *, now: datetime, max_age: timedelta) -> Tick | None:
    """The highest net price (after the fee, before any impact) among fresh ticks; a tie as in `select`."""
    fresh = [tick for tick in ticks if -FUTURE_TOLERANCE <= now - tick.observed_at <= max_age]
    return min(fresh, key=lambda tick: (-tick.net_price, tick.observed_at, tick.venue), default=None)


def min_out(
    pair: Pair,
    quote: Quote,
    slippage_bps: int,
    limit_price: Decimal | None = None,
    *,
    asked_price: Decimal | None = None,
) -> Decimal:
    """The least tokenOut that the order accepts: its slippage below the quote, never below its limit price.

    `asked_price` is the limit in tokenIn per tokenOut, where it was asked for so: `limit_price` is then only its rounded
    inverse and not used.

    Rounded up to base units, because one unit less would already be worse than asked. It exceeds the quote's
    own output when the quote is below the limit.
    """
    with localcontext(EXACT):
        floor = quote.amount_out * (BPS - slippage_bps) / BPS
        if asked_price is not None:
            # Rounded up already here: at 60 digits the quotient could be rounded to below what it is.
            floor = max(floor, _UP.divide(quote.amount_in, asked_price))
        elif limit_price is not None:
            floor = max(floor, quote.amount_in * limit_price)
        return round_up(floor, pair.token_out.decimals)


def max_in(
    pair: Pair,
    quote: Quote,
    slippage_bps: int,
    limit_price: Decimal | None = None,
    *,
    asked_price: Decimal | None = None,
    most: Decimal | None = None,
) -> Decimal:
    """The most tokenIn that an order for an exact output sells: its slippage above the quote, never more than its limit price
    leaves for the output, nor than `most`. `asked_price` as in `min_out`.

    Rounded down to base units, because one unit more would already be worse than asked. It is below the quote's own input when
    the quote is above the limit.
    """
    with localcontext(_DOWN):
        ceiling = quote.amount_in * (BPS + slippage_bps) / BPS
        if asked_price is not None:
            ceiling = min(ceiling, quote.amount_out * asked_price)
        elif limit_price is not None:
            ceiling = min(ceiling, quote.amount_out / limit_price)
        if most is not None:
            ceiling = min(ceiling, most)
        return round_down(ceiling, pair.token_in.decimals)


def bound_in(pair: Pair, offer: Quote, *, most: Decimal, slippage_bps: int) -> Decimal:
    """`bound` for an exact output: the smaller of `most` and the offer with the slippage on top.

    Raises `QuoteDeviates` when the offer takes more than `most`.
    """
    if offer.amount_in > most:
        raise QuoteDeviates(venue=offer.venue)
    return min(most, max_in(pair, offer, slippage_bps))


def bound(pair: Pair, offer: Quote, *, least: Decimal, slippage_bps: int) -> Decimal:
    """The least tokenOut to accept, where `least` comes from a cached quote and `offer` is the venue's own, asked now.

    The larger of `least` and the offer less the slippage. Raises `QuoteDeviates` when the offer is below `least`.
    """
    if offer.amount_out < least:
        raise QuoteDeviates(venue=offer.venue)
    return max(least, min_out(pair, offer, slippage_bps))


def round_down(amount: Decimal, decimals: int) -> Decimal:
    """To whole base units of a token with so many decimals."""
    return amount.quantize(_UNITS[decimals], ROUND_DOWN, context=EXACT)


def round_up(amount: Decimal, decimals: int) -> Decimal:
    return amount.quantize(_UNITS[decimals], ROUND_UP, context=EXACT)


def _worth(quote: Quote) -> Decimal:
    return EXACT.subtract(quote.amount_out, quote.added_fee)


def _first(quote: Quote) -> tuple[datetime, str]:
    return quote.observed_at, quote.venue


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
    if winner.exact_out:
        return _takes_less(winner, second)
    token = winner.pair.partition("-")[2]
    pays = f"{winner.venue} pays {_plain(winner.amount_out)} {token}"
    if second.parts and second.amount_out > winner.amount_out:
        more = EXACT.subtract(second.amount_out, winner.amount_out)
        return f"{pays}; {second.venue} pays {_plain(more)} more, and costs {_plain(second.added_fee)} more in fees"
    if winner.amount_out == second.amount_out:
        earlier = winner.observed_at < second.observed_at
        why = "and its quote is older" if earlier else "and comes first by name"
        return f"{pays}, the same as {second.venue}, {why}"
    more = (winner.amount_out / second.amount_out - 1) * 100
    said = "less than 0.01" if more < Decimal("0.01") else f"{more:.2f}"
    return f"{pays}, {said} % more than {second.venue}{_divided(winner)}"


def _divided(winner: Quote) -> str:
    """What goes where, and what it costs."""
    if not winner.parts:
        return ""
    token_in, _, token_out = winner.pair.partition("-")
    parts = ", ".join(f"{_plain(part.amount_in)} {token_in} at {part.venue}" for part in winner.parts)
    return f", for {_plain(winner.added_fee)} {token_out} more in fees: {parts}"


def _plain(amount: Decimal) -> str:
    return f"{amount.normalize(EXACT):f}"


def _takes_less(winner: Quote, second: Quote) -> str:
    takes = f"{winner.venue} takes {_plain(winner.amount_in)} {winner.pair.partition('-')[0]}"
    if winner.amount_in == second.amount_in:
        earlier = winner.observed_at < second.observed_at
        why = "and its quote is older" if earlier else "and comes first by name"
        return f"{takes}, the same as {second.venue}, {why}"
    less = (1 - winner.amount_in / second.amount_in) * 100
    if less < Decimal("0.01"):
        return f"{takes}, less than 0.01 % less than {second.venue}"
    return f"{takes}, {less:.2f} % less than {second.venue}"
