"""A moving average of a venue's volume: what a spike is measured against. Pure."""

from dataclasses import dataclass
from decimal import Context, Decimal

WINDOW_S = Decimal(60)
"""Older volumes lose their weight with this time constant; it is as old as the volume figure, which covers a minute itself."""
_ROUNDED = Context(prec=18)


@dataclass(frozen=True, slots=True)
class VolumeAverage:
    """Of the volumes seen so far; `ticks` of them."""

    mean: Decimal = Decimal(0)
    ticks: int = 0

    def after(self, volume: Decimal, elapsed_s: Decimal) -> "VolumeAverage":
        """The average with one more volume, seen `elapsed_s` after the one before.

        mean + (volume − mean) × weight, weight = elapsed / window; a plain mean until the window is full. At most a half, so that
        after a pause a single tick does not become the average.
        """
        if not self.ticks:
            return VolumeAverage(volume, 1)
        weight = min(max(elapsed_s / WINDOW_S, Decimal(1) / (self.ticks + 1)), Decimal("0.5"))
        return VolumeAverage(_ROUNDED.plus(self.mean + (volume - self.mean) * weight), self.ticks + 1)
