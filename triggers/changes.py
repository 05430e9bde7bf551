"""What is said to the trigger book: values only, so that pure code can decide it. `triggers.book` carries it out."""

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from triggers import rules

LISTED = "listed"
"""The kind of a launch sniper that came when the pair was already traded: it waits for it to be delisted first."""


@dataclass(frozen=True, slots=True)
class Rest:
    """What the book needs to know of an order at rest."""

    order_id: UUID
    pair: str
    """Two mints, with a dash between."""
    seq: int
    """Of the event since which it rests; a later one wins."""
    kind: str
    """gte, lte, trailing, listed, token_launch, liquidity or volume."""
    price: Decimal
    """What fires it: a price, a liquidity, a factor of volume; 0 for a launch; of a trailing stop the highest price that is known
    since it was armed, 0 when none is."""
    bps: int = 0
    """Of a trailing stop: how far below the high it fires."""
    activation: Decimal = rules.NOTHING
    """Of a trailing stop: the price that must be reached before it follows."""

    @property
    def sniper(self) -> bool:
        return self.kind not in (rules.GTE, rules.LTE, rules.TRAILING)


@dataclass(frozen=True, slots=True)
class Left:
    """An order that rests no more since the event `seq`."""

    order_id: UUID
    pair: str
    """As in `Rest`."""
    seq: int
    sniper: bool


@dataclass(frozen=True, slots=True)
class Arm:
    """The order belongs into the book.

    After `again_in_ms` (0: never) Postgres is asked about it again; `shelved`: until then it cannot fire; `force`: also if the
    book knows its seq already.
    """

    rest: Rest
    again_in_ms: int = 0
    shelved: bool = False
    force: bool = False


def details_key(order_id: UUID | str, pair: str, *, sniper: bool) -> str:
    return f"{'sniper' if sniper else 'limit'}:{pair}:{order_id}"
