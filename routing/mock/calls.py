"""Questions to the mock chain and its answers."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

import msgspec

from routing.values import Swap, SwapStatus


class Verdict(StrEnum):
    """The chain's answer to one submission."""

    ACCEPTED = "accepted"
    KNOWN = "known"
    """Sent before: nothing more happens."""
    DROPPED = "dropped"
    """Accepted and lost; the sender does not learn of it."""
    UNANSWERED = "unanswered"
    """Accepted, but the sender gets no answer."""
    REFUSED = "refused"
    TOO_LATE = "too_late"


class Send(msgspec.Struct, frozen=True):
    swap: Swap


class Look(msgspec.Struct, frozen=True):
    swaps: Sequence[Swap]


class Sent(msgspec.Struct, frozen=True):
    verdict: Verdict
    lands_at: datetime | None = None


class Sighting(msgspec.Struct, frozen=True):
    status: SwapStatus
    lands_at: datetime | None
    """Known to the chain alone; spares whoever waits from asking again and again."""


Call = Send | Look
Answer = Sent | list[Sighting]
