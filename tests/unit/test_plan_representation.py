"""How clients read what is stored of a plan."""

from decimal import Decimal

from orders.plans.representation import plain
from orders.wire import encode


def test_numbers_are_in_plain_digits() -> None:
    stored = encode({"amount": Decimal("300").normalize(), "exits": [{"at_price": Decimal("1.5E+3")}], "count": 24})
    assert b"E+" in stored
    shown = plain({"amount": "3E+2", "exits": [{"at_price": "1.5E+3", "portion": "0.5"}], "count": 24, "words": "E+2"})
    assert shown == {"amount": "300", "exits": [{"at_price": "1500", "portion": "0.5"}], "count": 24, "words": "E+2"}
