"""What every chain does."""

from collections.abc import Sequence
from typing import Protocol

from routing.values import Swap, SwapStatus


class Chain(Protocol):
    async def submit(self, swap: Swap) -> None:
        """Sends; accepted is not landed. Idempotent by signature.

        Raises `SubmitUnknown` when the outcome is open, `SwapRefused` when these bytes certainly never land.
        """
        ...

    async def wait(self, swap: Swap, *, timeout_s: float) -> SwapStatus:
        """Waits until the fate is final or the time is up (then `PENDING`). Raises `VenueUnavailable`."""
        ...

    async def status(self, swaps: Sequence[Swap]) -> list[SwapStatus]:
        """The fate of each, in order, by the chain's own clock. Raises `VenueUnavailable`.

        `EXPIRED` is a promise: the chain refuses those bytes from then on. The chain alone decides it, by the swap's `validity`.
        """
        ...

    async def close(self) -> None: ...
