"""The books as clients read them."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

import msgspec

from books.audit import AuditedOut
from books.fills import FillOut
from books.positions import ZERO, Position, added, unrealised
from books.statement import Books, Key, Line
from orders.http.answers import Cursor, LimitsOut, RiskOut, UsedOut
from orders.representation import FeeOut, Moment, Out, number
from orders.wire import text, timestamp
from risk.values import TradingState
from routing.world import tokens


class FillsOut(Out):
    fills: list[FillOut]
    next: Cursor | None


class PositionOut(Out):
    token: Annotated[str, msgspec.Meta(description="Its symbol, if that is verified, else its mint.")]
    quote_token: str
    mint: str
    quote_mint: str
    amount: Annotated[str, msgspec.Meta(description="Bought less sold. Negative: more was sold than bought.")]
    cost: Annotated[str, msgspec.Meta(description="What the amount was bought for, in the quote token.")]
    average_price: Annotated[str, msgspec.Meta(description="Cost of one.")] | None
    price: Annotated[str, msgspec.Meta(description="At which it could be closed now; null: not known.")] | None
    value: str | None
    unrealised: Annotated[str, msgspec.Meta(description="Null: the price is not known.")] | None
    realised: str
    fills: int
    fees: list[FeeOut]


class PositionsOut(Out):
    mode: str
    at: Moment
    positions: list[PositionOut]


class SumOut(Out):
    token: str
    mint: str
    amount: str


class CancelAfterSet(Out):
    """The dead man's switch (`POST /api/cancel-after`)."""

    at: Annotated[Moment, msgspec.Meta(description="When orders are cancelled unless it is asked for again.")]
    scope: str


class AccountOut(Out):
    account: str
    mode: str
    at: Moment
    fills: int
    open_orders: int
    trading_state: Annotated[TradingState, msgspec.Meta(description="The stricter of the account's and everybody's.")]
    currency: Annotated[str | None, msgspec.Meta(description="What limits of money count in.")]
    limits: LimitsOut
    limits_of_everybody: Annotated[LimitsOut, msgspec.Meta(description="Which all accounts together are held to.")]
    used: Annotated[UsedOut, msgspec.Meta(description="What the account has used of its limits.")]
    realised: Annotated[list[SumOut], msgspec.Meta(description="By quote token.")]
    unrealised: Annotated[list[SumOut], msgspec.Meta(description="By quote token, where all prices are known.")]
    fees: list[FeeOut]
    cancel_after: CancelAfterSet | None = None


class LineOut(Out):
    begin: Annotated[Moment, msgspec.Meta(description="Of the UTC day or hour.")]
    token: str
    quote_token: str
    mint: str
    quote_mint: str
    opening: Annotated[str, msgspec.Meta(description="Amount of the position before.")]
    bought: str
    sold: str
    closing: str
    paid: Annotated[str, msgspec.Meta(description="Of the quote token, for what was bought.")]
    received: Annotated[str, msgspec.Meta(description="Of the quote token, for what was sold.")]
    cost: Annotated[str, msgspec.Meta(description="Of the closing amount.")]
    realised: str
    fills: int
    fees: list[FeeOut]


class StatementOut(Out):
    mode: str
    every: Literal["day", "hour"]
    from_: Moment = msgspec.field(name="from")
    to: Moment
    lines: list[LineOut]


DOCUMENTED: tuple[type[Out], ...] = (FillOut, FillsOut, PositionsOut, AccountOut, StatementOut, AuditedOut)

Prices = dict[Key, Decimal]


def fees_out(fees: dict[tuple[str, str], Decimal]) -> list[FeeOut]:
    return [FeeOut(kind, token, text(amount)) for (kind, token), amount in sorted(fees.items())]  # type: ignore[arg-type]


def positions_out(books: Books, prices: Prices) -> list[PositionOut]:
    """By their tokens' names, those that are flat last."""
    known = tokens()
    found = []
    for key, position in books.positions.items():
        line, price = books.lines[(None, key)], prices.get(key)
        gain = unrealised(position, price) if position.amount else ZERO
        average = position.average
        found.append(
            PositionOut(
                token=known.label(key[0]),
                quote_token=known.label(key[1]),
                mint=key[0],
                quote_mint=key[1],
                amount=text(position.amount),
                cost=text(position.cost),
                average_price=number(average),
                price=number(price),
                value=None if gain is None else text(added(position.cost, gain)),
                unrealised=number(gain),
                realised=text(position.realised),
                fills=line.fills,
                fees=fees_out(line.fees),
            )
        )
    return sorted(found, key=lambda each: (each.amount == "0", each.token, each.quote_token))


def account_out(risk: RiskOut, mode: str, at: datetime, open_orders: int, books: Books, prices: Prices) -> AccountOut:
    """`risk`: of the account."""
    realised: dict[str, Decimal] = {}
    open_gains: dict[str, Decimal | None] = {}
    fees: dict[tuple[str, str], Decimal] = {}
    for key, position in books.positions.items():
        realised[key[1]] = added(realised.get(key[1], ZERO), position.realised)
        if position.amount:
            open_gains[key[1]] = sum_known(open_gains.get(key[1], ZERO), unrealised(position, prices.get(key)))
    for line in books.lines.values():
        for fee, amount in line.fees.items():
            fees[fee] = added(fees.get(fee, ZERO), amount)
    known = {mint: gain for mint, gain in open_gains.items() if gain is not None}
    fills = sum(line.fills for line in books.lines.values())
    return AccountOut(
        risk.account or "",
        mode,
        timestamp(at),
        fills,
        open_orders,
        risk.trading_state,
        risk.currency,
        risk.own.limits,
        risk.everybody.limits,
        risk.used,
        sums_out(realised.items()),
        sums_out(known.items()),
        fees_out(fees),
    )


def sum_known(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    """Unknown where a part is."""
    return None if one is None or other is None else added(one, other)


def sums_out(sums: Iterable[tuple[str, Decimal]]) -> list[SumOut]:
    known = tokens()
    return sorted((SumOut(known.label(mint), mint, text(amount)) for mint, amount in sums), key=lambda each: each.token)


def line_out(begin: datetime, key: Key, line: Line) -> LineOut:
    known = tokens()
    closing: Position = line.closing
    return LineOut(
        begin=timestamp(begin),
        token=known.label(key[0]),
        quote_token=known.label(key[1]),
        mint=key[0],
        quote_mint=key[1],
        opening=text(line.opening.amount),
        bought=text(line.bought),
        sold=text(line.sold),
        closing=text(closing.amount),
        paid=text(line.paid),
        received=text(line.received),
        cost=text(closing.cost),
        realised=text(line.realised),
        fills=line.fills,
        fees=fees_out(line.fees),
    )


def lines_out(books: Books) -> list[LineOut]:
    """In the order of time, then of the tokens' names."""
    found = [line_out(begin, key, line) for (begin, key), line in books.lines.items() if begin is not None]
    return sorted(found, key=lambda each: (each.begin, each.token, each.quote_token))
