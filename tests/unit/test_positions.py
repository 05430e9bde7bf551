"""The arithmetic of positions, against the definition of average cost in fractions."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from books.positions import PLACE, ZERO, Position, trade_of, traded, unrealised
from books.statement import Books, Entry, Held
from routing.mock.tokens import BONK, REGISTRY, SOL, USDC
from routing.values import precedence

amounts = st.decimals("0.000000001", "1e20", places=18).filter(bool)
trades = st.lists(st.tuples(amounts, amounts, st.booleans()), max_size=30)


def signed(amount: Decimal, paid: Decimal, buys: bool) -> tuple[Decimal, Decimal]:
    return (amount, paid) if buys else (amount.copy_negate(), paid.copy_negate())


class Oracle:
    """Average cost as it is taught: the amount that is left keeps its average price, what is closed is worth the difference."""

    def __init__(self) -> None:
        self.amount = self.average = self.realised = Fraction(0)

    def take(self, amount: Fraction, paid: Fraction) -> None:
        price = paid / amount
        if self.amount * amount >= 0:
            self.average = (self.amount * self.average + paid) / (self.amount + amount)
        else:
            closing = min(abs(amount), abs(self.amount)) * (1 if self.amount > 0 else -1)
            self.realised += closing * (price - self.average)
            if abs(amount) > abs(self.amount):
                self.average = price
        self.amount += amount


@given(trades)
def test_positions_follow_the_definition_of_average_cost(made: list[tuple[Decimal, Decimal, bool]]) -> None:
    position, oracle, paid_in_all = Position(), Oracle(), Fraction(0)
    closest = Fraction(PLACE)
    for trade in made:
        amount, paid = signed(*trade)
        position = traded(position, amount, paid)
        oracle.take(Fraction(amount), Fraction(paid))
        paid_in_all += Fraction(paid)
        assert Fraction(position.amount) == oracle.amount
        # Nothing is lost, whatever was rounded.
        assert Fraction(position.cost) - Fraction(position.realised) == paid_in_all
        if not position.amount:
            assert position.cost == 0
    assert abs(Fraction(position.realised) - oracle.realised) <= closest * len(made) * 2


def test_a_position_is_opened_closed_and_turned() -> None:
    long = traded(traded(Position(), Decimal(1), Decimal(150)), Decimal(1), Decimal(170))
    assert (long.amount, long.cost, long.average) == (2, 320, 160)
    half = traded(long, Decimal(-1), Decimal(-165))
    assert (half.amount, half.cost, half.realised) == (1, 160, 5)
    turned = traded(half, Decimal(-3), Decimal(-480))
    assert (turned.amount, turned.cost, turned.realised) == (-2, -320, 5)
    bought_back = traded(turned, Decimal(2), Decimal(300))
    assert (bought_back.amount, bought_back.cost, bought_back.realised) == (0, 0, 25)
    assert bought_back.average is None


def test_what_cannot_be_divided_leaves_nothing_behind() -> None:
    position = traded(Position(), Decimal(3), Decimal(10))
    for _ in range(3):
        position = traded(position, Decimal(-1), Decimal("-3.333333333333333333"))
    assert position == Position(ZERO, ZERO, Decimal("-0.000000000000000001"))


def test_an_unknown_price_is_not_zero() -> None:
    long, short = Position(Decimal(2), Decimal(320)), Position(Decimal(-2), Decimal(-320))
    assert unrealised(long, None) is None and unrealised(short, None) is None
    assert unrealised(long, Decimal(150)) == -20 and unrealised(short, Decimal(150)) == 20


def test_the_quote_token_is_the_one_of_higher_precedence() -> None:
    rank = {token.mint: precedence(token) for token in REGISTRY.tokens}
    sold = trade_of(SOL.mint, USDC.mint, Decimal(2), Decimal(300), rank.__getitem__)
    bought = trade_of(USDC.mint, SOL.mint, Decimal(300), Decimal(2), rank.__getitem__)
    assert (sold.base, sold.quote, sold.amount, sold.paid) == (SOL.mint, USDC.mint, -2, -300)
    assert (bought.base, bought.quote, bought.amount, bought.paid) == (SOL.mint, USDC.mint, 2, 300)
    assert trade_of(BONK.mint, SOL.mint, Decimal(5), Decimal(1), rank.__getitem__).quote == SOL.mint


@given(trades, st.integers(0, 30))
def test_lines_add_up_to_positions(made: list[tuple[Decimal, Decimal, bool]], skipped: int) -> None:
    """Of a statement that begins after some of the fills."""
    rank = {token.mint: precedence(token) for token in REGISTRY.tokens}
    began = datetime(2026, 11, 1, 23, tzinfo=UTC)
    books = Books(rank.__getitem__, period="day", since=began + timedelta(hours=skipped))
    for n, (amount, paid, buys) in enumerate(made):
        sides = (USDC.mint, SOL.mint, paid, amount) if buys else (SOL.mint, USDC.mint, amount, paid)
        books.take(Entry(began + timedelta(hours=n), *sides, (("network", SOL.mint, Decimal("0.000005")),)))
    lines = list(books.lines.values())
    for one, following in zip(lines, lines[1:], strict=False):
        assert following.opening == one.closing
    for line in lines:
        assert Fraction(line.closing.amount) == Fraction(line.opening.amount) + Fraction(line.bought) - Fraction(
            line.sold
        )
        assert sum(line.fees.values()) == line.fills * Decimal("0.000005")
    assert sum(line.fills for line in lines) == max(0, len(made) - skipped)
    if lines:
        assert lines[-1].closing == books.positions[(SOL.mint, USDC.mint)]


@given(trades, st.lists(st.integers(0, 30), max_size=3))
def test_books_go_on_from_a_checkpoint_as_if_there_was_none(
    made: list[tuple[Decimal, Decimal, bool]], cuts: list[int]
) -> None:
    """Wherever they are cut, written down and read again: each position and each sum is the same, to the last place."""
    rank = {token.mint: precedence(token) for token in REGISTRY.tokens}
    began = datetime(2026, 11, 1, tzinfo=UTC)
    whole, parts = Books(rank.__getitem__), Books(rank.__getitem__)
    for n, (amount, paid, buys) in enumerate(made):
        base, quote = [(SOL, USDC), (BONK, USDC), (BONK, SOL)][n % 3]
        sides = (quote.mint, base.mint, paid, amount) if buys else (base.mint, quote.mint, amount, paid)
        entry = Entry(began, *sides, (("network", SOL.mint, Decimal("0.000005")), ("venue", sides[1], paid)))
        if n in cuts:
            written = msgspec.json.encode(parts.held())
            parts = Books(rank.__getitem__, held=msgspec.json.decode(written, type=list[Held]))
        whole.take(entry)
        parts.take(entry)
    assert parts.positions == whole.positions
    assert parts.held() == whole.held()
