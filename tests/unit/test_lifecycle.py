"""Every status with every event: what is in this table happens, all else is refused."""

import pytest

from orders.lifecycle import FINAL, SUCCESSORS, Event, IllegalTransition, Status, advance

ALLOWED = {
    ("pending", "claim"): "routing",
    ("pending", "amend"): "pending",
    ("pending", "cancel"): "cancelled",
    ("pending", "expire"): "expired",
    ("routing", "build"): "building",
    ("routing", "retry"): "pending",
    ("routing", "rest"): "pending",
    ("routing", "release"): "pending",
    ("routing", "fail"): "failed",
    ("routing", "expire"): "expired",
    ("building", "submit"): "submitted",
    ("building", "retry"): "pending",
    ("building", "rest"): "pending",
    ("building", "release"): "pending",
    ("building", "fail"): "failed",
    ("building", "expire"): "expired",
    ("submitted", "confirm"): "confirmed",
    ("submitted", "retry"): "pending",
    ("submitted", "rest"): "pending",
    ("submitted", "fail"): "failed",
    ("submitted", "expire"): "expired",
    ("failed", "requeue"): "pending",
}


@pytest.mark.parametrize("event", Event)
@pytest.mark.parametrize("status", Status)
def test_every_status_with_every_event(status: Status, event: Event) -> None:
    expected = ALLOWED.get((status, event))

    if expected is None:
        with pytest.raises(IllegalTransition, match=f"{event} cannot happen to an order that is {status}"):
            advance(status, event)
    else:
        assert advance(status, event) is Status(expected)


def test_the_statuses_are_the_contract() -> None:
    assert " ".join(Status) == "pending routing building submitted confirmed failed cancelled expired"


def test_nothing_but_an_operator_leaves_a_final_status() -> None:
    assert {status for status in Status if not set(SUCCESSORS[status]) - {Event.REQUEUE}} == FINAL


def test_every_status_can_end() -> None:
    """From each one some path leads to a final status, and every status can be reached."""
    reached, open_ = {Status.PENDING}, [Status.PENDING]
    while open_:
        following = set(SUCCESSORS[open_.pop()].values()) - reached
        reached |= following
        open_ += following
    assert reached == set(Status)
    for status in Status:
        seen = {status}
        while not seen & FINAL:
            further = seen | {after for before in seen for after in SUCCESSORS[before].values()}
            assert further != seen, f"{status} never ends"
            seen = further


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        SUCCESSORS[Status.CONFIRMED] = {}  # type: ignore[index]
