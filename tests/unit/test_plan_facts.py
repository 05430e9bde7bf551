"""What the admin says of plans, in words."""

import pytest

from orders.admin.plan_facts import lasting, of_schedule
from routing.mock.tokens import SOL, USDC


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (2.5, "2.5 s"),
        (60.0, "1 min"),
        (5_400, "1 h 30 min"),
        (86_461.0, "1 d 1 min 1 s"),
        (30 * 86_400.0, "30 d"),
        (366 * 86_400.0, "366 d"),
        (0, "0 s"),
    ],
)
def test_a_time_is_said_in_words(seconds: float, words: str) -> None:
    assert lasting(seconds) == words


def test_a_slice_a_month_is_said_as_days() -> None:
    spec = {
        "token_in": USDC.mint,
        "token_out": SOL.mint,
        "slice_amount": "20",
        "every_s": 2_592_000.0,
        "slippage_bps": 50,
    }
    assert of_schedule(spec, {})[0].value == "no end, 20 every 30 d"
