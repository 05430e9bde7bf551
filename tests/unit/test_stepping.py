"""A clock of Postgres that is set back is noticed, by a clock of this process that is not."""

import time
from datetime import UTC, datetime, timedelta

from books.stepping import Stepping


def test_a_clock_that_is_set_back_is_noticed_once() -> None:
    stepping, now = Stepping(), datetime.now(UTC)
    assert stepping.back(now) is None
    assert stepping.back(now + timedelta(hours=1)) is None, "what jumps ahead passes no time again"
    time.sleep(0.01)
    found = stepping.back(now + timedelta(minutes=59))
    assert found is not None and timedelta(0) < found < timedelta(minutes=1)
    assert stepping.back(now + timedelta(minutes=59)) is None
