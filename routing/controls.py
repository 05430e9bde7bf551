"""What moves a world that is ours to move: the mock, and a chain of our own. A real one has no controls."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Protocol, runtime_checkable

from routing.values import Token


class InvalidMove(ValueError):
    """The market cannot be moved so. `field` names the argument at fault."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class Controls(Protocol):
    """Blocking; for any thread."""

    @property
    def unlisted(self) -> Token | None:
        """The token that has no pool until `move` lists one; None where there is no such token."""
        ...

    def move(
        self,
        pair_name: str,
        *,
        price: Decimal | None = None,
        liquidity: Decimal | None = None,
        volume: Decimal | None = None,
        listed: bool | None = None,
        hold: bool | None = None,
        **health: str | None,
    ) -> None:
        """Moves the market of a pair, both directions and all venues together; `health` is by venue, in lower case.

        Raises `InvalidMove`.
        """
        ...


@runtime_checkable
class Reports(Protocol):
    """A pretended chain's own log. A real one is read over RPC."""

    def report(self, reference: str | None = None) -> Mapping[str, Any]:
        """What landed and what was submitted, for one reference or for all."""
        ...


@runtime_checkable
class ChainControls(Controls, Protocol):
    """A chain of our own, which can be made to fail."""

    def fault(self, fault: str, count: int, node: int | None = None) -> Mapping[str, Any]:
        """The next so many calls fail in that way, of any node or of one (1, 2, …); 0 ends it. Answers how many are left.

        Raises `InvalidMove`.
        """
        ...

    def give(self, owner: str, token: str, amount: Decimal) -> None:
        """Makes money for an address: of a symbol or mint; `SOL` comes as lamports. It is there with the next block.

        Raises `InvalidMove`.
        """
        ...

    def lamports(self, owner: str) -> int:
        """What an address has. Raises `InvalidMove` where no node answers."""
        ...

    def pool(self, pair_name: str, venue: str, price: Decimal) -> Mapping[str, Any]:
        """Trades one venue's pool to a price of the named pair, and makes the pool where there is none. Raises `InvalidMove`."""
        ...
