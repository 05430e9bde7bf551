import threading
import time
from uuid import RFC_4122, UUID

import pytest

from orders.ids import seconds_of, uuid7


def test_an_id_is_a_uuid_of_version_7() -> None:
    made = uuid7()

    assert made.version == 7 and made.variant == RFC_4122


def test_an_id_carries_its_time() -> None:
    before = time.time_ns() // 1_000_000
    made = uuid7()
    after = time.time_ns() // 1_000_000

    assert before <= made.int >> 80 <= after


def test_ids_sort_by_time_as_numbers_and_as_text() -> None:
    made = []
    while len({one.int >> 80 for one in made}) < 5:
        made.append(uuid7())
    by_time = sorted(made, key=lambda one: one.int >> 80)

    assert [one.int >> 80 for one in sorted(made)] == [one.int >> 80 for one in by_time]
    assert sorted(made, key=str) == sorted(made)


def test_ids_of_one_millisecond_differ() -> None:
    assert len({uuid7() for _ in range(20_000)}) == 20_000


def test_orders_of_one_millisecond_keep_their_order() -> None:
    ids = [uuid7() for _ in range(2_000)]

    assert sorted(ids, key=lambda each: each.int >> 64) == ids, "whatever the random part says"
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("step_s", [-86_400, -30, -0.001])
def test_ids_grow_though_the_clock_is_set_back(monkeypatch: pytest.MonkeyPatch, step_s: float) -> None:
    before, now = uuid7(), time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + int(step_s * 1e9))
    after = [uuid7() for _ in range(1_000)]
    assert [before, *after] == sorted([before, *after])
    assert seconds_of(after[-1]) - seconds_of(before) < 1


def test_ids_of_several_threads_are_in_the_order_of_their_making() -> None:
    made: list[list[UUID]] = [[] for _ in range(4)]

    def make(into: list[UUID]) -> None:
        into.extend(uuid7() for _ in range(5_000))

    threads = [threading.Thread(target=make, args=(into,)) for into in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(into == sorted(into) for into in made)
    assert len({each.int >> 64 for into in made for each in into}) == 20_000, "no two share a tick"
