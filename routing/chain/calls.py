"""What the mock chain is asked, and what it answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from routing.values import Swap, SwapStatus


class Verdict(StrEnum):
    """The chain's answer to one submission."""

    ACCEPTED = "accepted"
    KNOWN = "known"
    """Sent before: nothing more happens."""
    DROPPED = "dropped"
    """Accepted and lost; the sender is not told."""
    UNANSWERED = "unanswered"
    """Accepted, but the sender gets no answer."""
    REFUSED = "refused"
    TOO_LATE = "too_late"


@dataclass(frozen=True, slots=True)
class Send:
    swap: Swap


@dataclass(frozen=True, slots=True)
class Look:
    swaps: Sequence[Swap]


@dataclass(frozen=True, slots=True)
class Find:
    reference: str


@dataclass(frozen=True, slots=True)
class Sent:
    verdict: Verdict
    lands_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Sighting:
    status: SwapStatus
    lands_at: datetime | None
    """Known to the chain alone; spares whoever waits from asking again and again."""


Call = Send | Look | Find
Answer = Sent | list[Sighting]
