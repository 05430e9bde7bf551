"""Exact out: what gives an output at the least, which venue takes least, what may be sold at most, and how it is asked for."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace
from solders.pubkey import Pubkey

from orders.errors import ApiError
from orders.order_in import TAKES_FEES
from orders.plans.plan_in import parse_plan, plan_of
from orders.plans.values import Bracket
from orders.risk import cost_of
from routing.mock.pool import quote_for_output, quote_from_tick
from routing.mock.tokens import SOL, USDC
from routing.selection import bound_in, max_in, select
from routing.solana.addresses import TOKEN
from routing.solana.pools import CPMM, DAMM, Curve
from routing.solana.programs import METEORA_DAMM, RAYDIUM_CPMM, Side, SwapRead
from routing.tokens import Tokens
from routing.values import Quote, Token, VenueName
from routing.venue import InsufficientLiquidity, QuoteDeviates, VenueError
from routing.venues import METEORA, RAYDIUM
from tests.unit.test_requests import MARKET, NOW, SNIPER, refused, take
from tests.unit.test_routing_selection import MAX_AGE, named, quote, tick
from tests.unit.test_routing_selection import NOW as QUOTED

U64 = 2**64
UNITS = st.integers(1, 2**62)


@given(
    pair=st.sampled_from(["SOL-USDC", "USDC-SOL"]),
    wanted=st.decimals("0.000001", "1000000", places=6),
    price=st.decimals("0.0001", "100000", places=8),
    depth=st.decimals("0.01", "1000000000", places=2),
    fee_bps=st.integers(0, 500),
)
def test_a_mock_pool_takes_the_least_that_gives_the_output(
    pair: str, wanted: Decimal, price: Decimal, depth: Decimal, fee_bps: int
) -> None:
    of, market = named(pair), tick(pair, price=str(price), fee_bps=fee_bps, liquidity=str(depth))
    try:
        quote = quote_for_output(of, market, wanted, cached=False)
    except VenueError as error:
        assert error.code == "INSUFFICIENT_LIQUIDITY"
        return
    unit = Decimal(1).scaleb(-of.token_in.decimals)
    assert quote.exact_out and quote.amount_out == wanted
    assert quote.amount_in == quote.amount_in.quantize(unit)
    assert quote_from_tick(of, market, quote.amount_in, cached=False).amount_out >= wanted
    assume(quote.amount_in > unit)
    try:
        less = quote_from_tick(of, market, quote.amount_in - unit, cached=False).amount_out
    except VenueError:
        return
    assert less < wanted, "a unit less would have given it, too"


def test_what_a_mock_pool_cannot_pay_is_refused() -> None:
    pool = tick(price="1", fee_bps=0, liquidity="100")
    assert quote_for_output(named("SOL-USDC"), pool, Decimal(50), cached=False).amount_in == 100
    for wanted in ("50.000001", "100", "101"):
        with pytest.raises(InsufficientLiquidity):
            quote_for_output(named("SOL-USDC"), pool, Decimal(wanted), cached=False)


@given(sold=UNITS, bought=UNITS, wanted=UNITS, rate=st.integers(0, 999_999), on_output=st.booleans())
def test_a_curve_takes_the_least_that_pays_the_output(
    sold: int, bought: int, wanted: int, rate: int, on_output: bool
) -> None:
    format_ = DAMM if on_output else CPMM
    curve = Curve(sold, bought, rate, format_.denominator, on_output)
    taken = curve.takes(wanted)
    if taken is None:
        assert curve.pays(2**200) < wanted or on_output and curve.gross(2**200) < curve.before_fee(wanted)
        return
    assert curve.pays(taken) >= wanted > curve.pays(taken - 1)


def exact(venue: VenueName, amount_in: str, amount_out: str = "1", *, age_ms: int = 0) -> Quote:
    offer = quote(venue, amount_out, amount_in=amount_in, age_ms=age_ms)
    return replace(offer, pair="USDC-SOL", price=Decimal("0.0067"), exact_out=True)


@pytest.mark.parametrize(
    ("quotes", "winner", "reason"),
    [
        (
            [exact(RAYDIUM, "150"), exact(METEORA, "149.7")],
            METEORA,
            "METEORA takes 149.7 USDC, 0.20 % less than RAYDIUM",
        ),
        (
            [exact(RAYDIUM, "150"), exact(METEORA, "149.999")],
            METEORA,
            "METEORA takes 149.999 USDC, less than 0.01 % less than RAYDIUM",
        ),
        (
            [exact(METEORA, "150", age_ms=5), exact(RAYDIUM, "150", age_ms=9)],
            RAYDIUM,
            "RAYDIUM takes 150 USDC, the same as METEORA, and its quote is older",
        ),
        (
            [exact(RAYDIUM, "150"), exact(METEORA, "150")],
            METEORA,
            "METEORA takes 150 USDC, the same as RAYDIUM, and comes first by name",
        ),
    ],
)
def test_the_least_input_wins(quotes: list[Quote], winner: VenueName, reason: str) -> None:
    selection = select(quotes, [], now=QUOTED, max_age=MAX_AGE)
    assert (selection.winner.venue, selection.reason) == (winner, reason)


@given(
    amount_in=st.decimals("0.000001", "100000", places=6),
    amount_out=st.decimals("0.000000001", "100000", places=9),
    slippage_bps=st.integers(0, 5000),
    limit=st.none() | st.decimals("0.0001", "100000", places=8),
    asked=st.none() | st.decimals("0.0001", "100000", places=8),
    most=st.none() | st.decimals("0.000001", "100000", places=6),
)
def test_max_in_is_never_above_what_is_promised(
    amount_in: Decimal,
    amount_out: Decimal,
    slippage_bps: int,
    limit: Decimal | None,
    asked: Decimal | None,
    most: Decimal | None,
) -> None:
    offered = exact(RAYDIUM, str(amount_in), str(amount_out))
    ceiling = max_in(named("USDC-SOL"), offered, slippage_bps, limit, asked_price=asked, most=most)
    assert ceiling == ceiling.quantize(Decimal("0.000001"))
    assert ceiling * 10_000 <= amount_in * (10_000 + slippage_bps)
    if asked is not None:
        assert ceiling <= amount_out * asked
    elif limit is not None:
        assert ceiling * limit <= amount_out, "a worse price than the limit"
    assert most is None or ceiling <= most


def test_an_offer_of_now_bounds_what_a_cached_quote_lets_be_sold() -> None:
    pair = named("USDC-SOL")
    assert bound_in(pair, exact(RAYDIUM, "150"), most=Decimal(200), slippage_bps=100) == Decimal("151.5")
    assert bound_in(pair, exact(RAYDIUM, "150"), most=Decimal(151), slippage_bps=100) == 151
    with pytest.raises(QuoteDeviates):
        bound_in(pair, exact(RAYDIUM, "150"), most=Decimal(149), slippage_bps=100)


OUT = {"tokenIn": "USDC", "tokenOut": "SOL", "amountOut": "2"}


def test_it_is_asked_for_instead_of_an_amount() -> None:
    plain = take(OUT)
    assert (plain.amount, plain.percent, plain.exact_out, plain.amount_in_max) == (None, None, 2, None)
    capped = take({**OUT, "amountInMax": "301.5"})
    assert capped.amount_in_max == Decimal("301.5")
    assert take({**OUT, "amountOut": 2.0}).request_hash == plain.request_hash
    hashes = {plain.request_hash, capped.request_hash, take({**OUT, "amountOut": "2.1"}).request_hash}
    assert len({*hashes, take({"tokenIn": "USDC", "tokenOut": "SOL", "amount": "2"}).request_hash}) == 4
    resting = take({**OUT, "type": "limit", "limitPrice": "0.006"})
    assert resting.resting and resting.exact_out == 2
    assert take({**OUT, "type": "sniper", "amountInMax": "400"}).trigger_kind == "token_launch"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({**MARKET, "amountOut": "1"}, "amountOut"),
        ({**MARKET, "amount": {"percent": 50}, "amountOut": "1"}, "amountOut"),
        ({"tokenIn": "SOL", "tokenOut": "USDC"}, "amount"),
        ({**MARKET, "amountInMax": "1"}, "amountInMax"),
        ({**OUT, "amountOut": "0"}, "amountOut"),
        ({**OUT, "amountOut": "-1"}, "amountOut"),
        ({**OUT, "amountOut": "NaN"}, "amountOut"),
        ({**OUT, "amountOut": {"percent": 5}}, "amountOut"),
        ({**OUT, "amountOut": "0.0000000001"}, "amountOut"),
        ({**OUT, "amountOut": str(U64)}, "amountOut"),
        ({**OUT, "amountInMax": "0"}, "amountInMax"),
        ({**OUT, "amountInMax": "0.0000001"}, "amountInMax"),
        ({**OUT, "type": "limit", "limitPrice": "0.006", "amountInMax": "400"}, "amountInMax"),
        ({**SNIPER, "amount": None, "tokenOut": str(Pubkey.new_unique()), "amountOut": "1"}, "amountOut"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_field(body: dict[str, Any], field: str) -> None:
    error = refused(body)
    assert error.code == "VALIDATION_FAILED" and list(error.details) == [field], error.details


@pytest.mark.parametrize("side", ["tokenIn", "tokenOut"])
def test_a_token_that_takes_a_fee_of_each_transfer_has_no_exact_output(
    monkeypatch: pytest.MonkeyPatch, side: str
) -> None:
    taxed = Token("TAX", str(Pubkey.new_unique()), 6, verified=True, extensions=(TAKES_FEES,))
    monkeypatch.setattr("orders.order_in.tokens", lambda: Tokens([SOL, USDC, taxed]))
    other = "tokenOut" if side == "tokenIn" else "tokenIn"
    error = refused({side: "TAX", other: "USDC", "amountOut": "1"})
    assert "takes a fee" in error.details["amountOut"][0]


def test_it_is_for_the_entry_of_a_plan_and_for_nothing_else_of_it() -> None:
    exits = b'"exits": [{"kind": "stopLoss", "atBps": 500}]}'
    body = b'{"kind": "bracket", "tokenIn": "USDC", "tokenOut": "SOL", "amountOut": "2", "amountInMax": "310", '
    spec = plan_of(parse_plan(body + exits), account_id=1, key=None, now=NOW).spec
    assert isinstance(spec, Bracket) and spec.entry is not None
    assert (spec.entry.amount, spec.entry.exact_out, spec.entry.amount_in_max) == (None, 2, 310)
    with pytest.raises(ApiError) as caught:
        plan_of(parse_plan(body + b'"entry": false, ' + exits), account_id=1, key=None, now=NOW)
    assert "is a number" in caught.value.details["amount"][0]
    with pytest.raises(ApiError) as caught:
        parse_plan(b'{"kind": "schedule", "tokenIn": "USDC", "tokenOut": "SOL", "amountOut": "2", "slices": 2}')
    assert "amountOut" in caught.value.details


WORTHS = {USDC.mint: Decimal(1), SOL.mint: Decimal(150)}


@pytest.mark.parametrize(
    ("body", "cost"),
    [
        (OUT, "304.5"),  # 2 × 150, 1 % for fees and impact, 50 bps of slippage
        ({**OUT, "amountInMax": "500"}, "500"),
        ({**OUT, "type": "limit", "limitPrice": "0.01"}, "200"),
        ({"tokenIn": "SOL", "tokenOut": "USDC", "amountOut": "90"}, "90"),
        ({"tokenIn": "JUP", "tokenOut": "SOL", "amountOut": "1"}, None),
        ({"tokenIn": "USDC", "tokenOut": "JUP", "amountOut": "1"}, None),
        ({"tokenIn": "USDC", "tokenOut": "JUP", "amountOut": "1", "amountInMax": "3"}, "3"),
        ({**OUT, "type": "limit", "triggerCondition": "lte", "limitPrice": "0.01", "worstPrice": "0.005"}, "400"),
    ],
)
def test_limits_of_money_count_the_most_that_it_may_cost(body: dict[str, Any], cost: str | None) -> None:
    order = take(body)
    assert order.exact_out is not None
    found = cost_of(order, order.exact_out, [USDC.mint, SOL.mint], WORTHS)
    assert found == (None if cost is None else Decimal(cost))


@pytest.mark.parametrize("exact_out", [False, True])
def test_an_instruction_reads_as_it_was_written(exact_out: bool) -> None:
    keys = [Pubkey.new_unique() for _ in range(9)]
    sides = Side(keys[0], keys[1], TOKEN), Side(keys[2], keys[3], TOKEN)
    payer, pool, source, destination, config = keys[4:]
    said = SwapRead(payer, pool, source, destination, sides, 1_000, 7, config=config, exact_out=exact_out)
    raydium = RAYDIUM_CPMM.swap(said, pool)
    assert RAYDIUM_CPMM.read(bytes(raydium.data), [meta.pubkey for meta in raydium.accounts]) == said
    meteora = METEORA_DAMM.swap(said)
    read = METEORA_DAMM.read(bytes(meteora.data), [meta.pubkey for meta in meteora.accounts])
    assert (read.amount, read.least, read.exact_out) == (1_000, 7, exact_out)


def test_a_limit_in_token_in_is_a_number_of_its_own() -> None:
    """A price of 150 USDC for a SOL has an inverse that does not end: what may be sold follows from the 150."""
    order = take({**OUT, "type": "limit", "limitPrice": "150", "priceIn": "tokenIn"})
    offer = exact(RAYDIUM, "299", "2")
    assert order.asked_price == 150 and order.limit_price is not None
    assert max_in(named("USDC-SOL"), offer, 5000, order.limit_price, asked_price=order.asked_price) == 300
