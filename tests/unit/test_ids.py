import time
from uuid import RFC_4122

from orders.ids import uuid7


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
