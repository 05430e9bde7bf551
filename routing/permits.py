"""Which venues, and which pools of them, a pair may use, and how deep a pool must be. Pure.

Those of the present: `routing.world.permits`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from routing.values import Pair, VenueName
from routing.venue import PoolTooSmall, VenueNotPermitted

NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class Permit:
    """A venue that a pair may use, or one pool of it."""

    venue: VenueName
    pool: str = ""
    """Address; empty: every pool of the venue."""
    least: Decimal = NOTHING
    """What one side of the pool must hold, in the pair's quote token, as `Tick.liquidity` counts it."""


class Permits:
    """Of both directions of a pair alike. A pair without any may use everything."""

    def __init__(self, rows: Iterable[tuple[str, str, Permit]] = ()) -> None:
        """(mint, mint, permit) each."""
        self._by_pair: dict[frozenset[str], list[Permit]] = {}
        for a, b, permit in rows:
            self._by_pair.setdefault(frozenset((a, b)), []).append(permit)

    def of(self, pair: Pair) -> Sequence[Permit]:
        """Empty: the pair may use everything."""
        return self._by_pair.get(frozenset((pair.token_in.mint, pair.token_out.mint)), ())

    def at(self, pair: Pair, venue: VenueName) -> "AtVenue":
        of_pair = self.of(pair)
        return AtVenue(pair, venue, tuple(each for each in of_pair if each.venue == venue) if of_pair else None)

    def pools(self) -> set[str]:
        """All that are named."""
        return {each.pool for permits in self._by_pair.values() for each in permits if each.pool}


@dataclass(frozen=True, slots=True)
class AtVenue:
    """What a pair may use of a venue. `permits`: None where nothing is said of the pair."""

    pair: Pair
    venue: VenueName
    permits: tuple[Permit, ...] | None

    @property
    def pools(self) -> tuple[str, ...] | None:
        """The only ones there are for the pair; None: all of the venue's."""
        if self.permits is None or any(not each.pool for each in self.permits):
            return None
        return tuple(each.pool for each in self.permits)

    def check_venue(self) -> None:
        """Raises `VenueNotPermitted`."""
        if self.permits == ():
            raise VenueNotPermitted(f"{self.pair.name} may not be traded at {self.venue}", venue=self.venue)

    def check_pools(self, pools: Sequence[str]) -> None:
        """Of a route that takes all of these; with none it does not say which. Raises `VenueNotPermitted`."""
        self.check_venue()
        if (permitted := self.pools) is None:
            return
        if foreign := [pool for pool in pools if pool not in permitted]:
            raise VenueNotPermitted(f"{self.pair.name} may not use the pool {foreign[0]}", venue=self.venue)
        if not pools:
            raise VenueNotPermitted(
                f"the route does not say whether {self.pair.name} may use its pools", venue=self.venue
            )

    def check_depth(self, depth: Decimal, pool: str | None = None) -> None:
        """`depth` of a side, in the quote token; `pool`: None where a venue counts all of its pools together.

        Raises `PoolTooSmall`, `VenueNotPermitted`.
        """
        self.check_venue()
        if self.permits is None:
            return
        said = [each.least for each in self.permits if pool is None or each.pool in ("", pool)]
        if not said:
            raise VenueNotPermitted(f"{self.pair.name} may not use the pool {pool}", venue=self.venue)
        if depth < min(said):
            token = self.pair.quote_token.label
            raise PoolTooSmall(
                f"the pool holds {_plain(depth)} {token}, and {self.pair.name} is traded from {_plain(min(said))} {token}",
                venue=self.venue,
            )


def _plain(amount: Decimal) -> str:
    return f"{amount.normalize():f}"
