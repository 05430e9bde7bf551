"""What moves a pretended world: only a mock has it."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Protocol

from routing.values import Token


class InvalidMove(ValueError):
    """The market cannot be moved so. `field` names the argument at fault."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class Controls(Protocol):
    """Blocking; for any thread."""

    @property
    def unlisted(self) -> Token:
        """The token that has no pool until `move` lists one."""
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

    def report(self, reference: str | None = None) -> Mapping[str, Any]:
        """What landed and what was submitted, for one reference or for all."""
        ...
