"""Markets that tell by themselves when they have changed, between two polls."""

from collections.abc import Callable, Collection
from typing import Protocol

from routing.values import Pair, VenueName

Changed = Callable[[Pair, VenueName], None]
"""The pair's market at the venue is another one: ask it again."""


class MarketWatch(Protocol):
    """Best effort: whoever needs prices polls all the same."""

    def follow(self, pairs: Collection[Pair], changed: Changed) -> None:
        """From now on these and no others; after each poll of them, on the event loop of the polls, which `changed` is called on,
        too. Nobody who has stopped polling is told for longer than some seconds."""
        ...
