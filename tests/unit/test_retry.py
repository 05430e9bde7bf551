import random

from hypothesis import given
from hypothesis import strategies as st

from orders.execution.retry import RetryPolicy

POLICY = RetryPolicy(max_attempts=3, base_ms=500, cap_ms=8_000)
policies = st.builds(
    RetryPolicy,
    max_attempts=st.integers(1, 20),
    base_ms=st.integers(0, 5_000),
    cap_ms=st.integers(0, 60_000),
)


@given(policies, st.integers(1, 40), st.integers())
def test_a_delay_lies_within_what_backoff_and_cap_allow(policy: RetryPolicy, attempt: int, seed: int) -> None:
    delay = policy.delay_ms(attempt, permanent=False, rng=random.Random(seed))

    if attempt >= policy.max_attempts:
        assert delay is None
    else:
        assert delay is not None
        assert 0 <= delay <= min(policy.cap_ms, policy.base_ms * 2 ** (attempt - 1))


@given(policies, st.integers(1, 40))
def test_a_permanent_error_is_never_tried_again(policy: RetryPolicy, attempt: int) -> None:
    assert policy.delay_ms(attempt, permanent=True, rng=random.Random(1)) is None


def test_the_engine_tries_three_times_and_no_more() -> None:
    delays = [POLICY.delay_ms(attempt, permanent=False, rng=random.Random(1)) for attempt in (1, 2, 3, 4)]

    assert [delay is None for delay in delays] == [False, False, True, True]


def test_jitter_is_full() -> None:
    """Orders that failed together spread over the whole time, zero included, and not around a mean."""
    rng = random.Random(1)
    delays = [POLICY.delay_ms(2, permanent=False, rng=rng) or 0 for _ in range(4_000)]

    tenths = [sum(n * 100 <= delay < n * 100 + 100 for delay in delays) for n in range(10)]
    assert min(tenths) > 300 and max(tenths) < 500
    assert max(delays) <= 1_000


def test_the_same_generator_gives_the_same_delays() -> None:
    def delays() -> list[int | None]:
        rng = random.Random(7)
        return [POLICY.delay_ms(1, permanent=False, rng=rng) for _ in range(5)]

    assert delays() == delays()
