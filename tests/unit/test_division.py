"""The division of an amount between two pools, held against every other division."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.solana.division import divide
from routing.solana.pools import CPMM, DAMM, Curve

MOST = 2**64 - 1


def curves(most: int) -> st.SearchStrategy[Curve]:
    """Of both formats, with fees up to a tenth."""
    held = st.integers(1, most)
    rates = st.sampled_from([0, 1, 25, 100, 400, 2_500, 10_000, 100_000])
    return st.one_of(
        st.builds(Curve, held, held, rates, st.just(CPMM.denominator), st.just(CPMM.fee_on_output)),
        st.builds(
            Curve,
            held,
            held,
            rates.map(lambda rate: rate * 1_000),
            st.just(DAMM.denominator),
            st.just(DAMM.fee_on_output),
        ),
    )


def paid(first: Curve, second: Curve, to_first: int, amount: int) -> int:
    return first.pays(to_first) + second.pays(amount - to_first)


@settings(max_examples=300, deadline=None)
@given(curves(3_000), curves(3_000), st.integers(1, 2_000))
def test_no_division_of_small_pools_pays_more(first: Curve, second: Curve, amount: int) -> None:
    found = divide(first, second, amount)
    assert 0 <= found <= amount
    assert paid(first, second, found, amount) == max(paid(first, second, each, amount) for each in range(amount + 1))


@settings(max_examples=300, deadline=None)
@given(curves(MOST), curves(MOST), st.integers(1, MOST), st.lists(st.integers(0, 10**9), min_size=1, max_size=50))
def test_in_large_pools_only_rounding_is_left_to_any_other_division(
    first: Curve, second: Curve, amount: int, others: list[int]
) -> None:
    found = divide(first, second, amount)
    # A unit of the amount, at the better of both pools before it moves, and two units that are rounded.
    rounding = max(-(-curve.bought // curve.sold) for curve in (first, second)) + 2
    for share in (*others, 0, 10**9):
        other = amount * share // 10**9
        assert paid(first, second, other, amount) <= paid(first, second, found, amount) + rounding


@pytest.mark.parametrize("more", [1, 2, 7])
def test_equal_pools_take_equal_parts(more: int) -> None:
    pool, deeper = Curve(10**12, 10**11, 2_500, 10**6, False), Curve(more * 10**12, more * 10**11, 2_500, 10**6, False)
    amount = 10**10 * (more + 1)
    assert divide(pool, deeper, amount) == pytest.approx(10**10, abs=1_000)


def test_what_brings_nothing_is_not_divided() -> None:
    better, worse = Curve(10**12, 10**12, 0, 10**6, False), Curve(10**12, 9 * 10**11, 0, 10**6, False)
    assert (divide(better, worse, 10**9), divide(worse, better, 10**9)) == (10**9, 0)
