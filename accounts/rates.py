"""How a rate is written. Pure: the settings read it."""

from dataclasses import dataclass

PERIODS_S = {"second": 1, "minute": 60, "hour": 3600}


@dataclass(frozen=True, slots=True)
class Rate:
    """So many in a period; a bucket holds as many, so a burst of them all is let through."""

    limit: int
    period_s: int

    @classmethod
    def parse(cls, text: str) -> "Rate":
        """`600/minute`; per second, minute or hour. Raises `ValueError`."""
        limit, _, period = text.partition("/")
        if not limit.isdigit() or not 1 <= int(limit) <= 10**9 or period not in PERIODS_S:
            raise ValueError(f"a rate is written like 600/minute (second, minute, hour), not {text!r}")
        return cls(int(limit), PERIODS_S[period])
