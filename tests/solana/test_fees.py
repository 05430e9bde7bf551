"""What a transaction may cost at most."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.solana.addresses import SIGNATURE_LAMPORTS
from routing.solana.builder import SIMULATED_UNITS, affordable, limit_of
from routing.solana.safety import fee_lamports
from routing.venue import UnsafeTransaction


@given(st.integers(1, SIMULATED_UNITS), st.integers(SIGNATURE_LAMPORTS, 10**9))
def test_the_fees_of_the_signed_transaction_stay_below_the_cap(used: int, cap: int) -> None:
    assert fee_lamports(limit_of(used), affordable(cap)) <= cap


@given(st.integers(1, SIMULATED_UNITS))
def test_a_swap_has_some_units_more_than_it_used(used: int) -> None:
    assert used <= limit_of(used) <= SIMULATED_UNITS


def test_a_cap_below_the_signature_is_refused() -> None:
    with pytest.raises(UnsafeTransaction):
        affordable(SIGNATURE_LAMPORTS - 1)
