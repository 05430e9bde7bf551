"""A web process that is asked to stop says so to the balancer first, and goes on serving until the balancer has seen it.

A balancer learns from the next health check that a process stops. A process that closes its port at once refuses what is sent
to it until then, and resets the connections that it has not accepted yet.
"""

import os
import signal
import time
from types import FrameType

import uvicorn

_began: float | None = None


def began() -> bool:
    """Whether this process is stopping. `/healthz` and `/readyz` answer 503 from then on."""
    return _began is not None


def stop_delay_s() -> float:
    """Seconds from STOP_DELAY_S between SIGTERM and the end of accepting; 0 where no balancer asks. Raises `ValueError`."""
    text = os.environ.get("STOP_DELAY_S") or "0"
    try:
        delay = float(text)
    except ValueError:
        delay = -1.0
    if not 0 <= delay <= 60:
        raise ValueError(f"STOP_DELAY_S must be a number from 0 to 60, not {text!r}")
    return delay


class Server(uvicorn.Server):
    """uvicorn's server; SIGTERM takes effect after the delay, a second one and SIGINT at once."""

    def __init__(self, config: uvicorn.Config, delay_s: float) -> None:
        super().__init__(config)
        self._delay_s = delay_s

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        global _began
        if sig != signal.SIGTERM or self._delay_s == 0 or began():
            return super().handle_exit(sig, frame)
        _began = time.monotonic()

    async def on_tick(self, counter: int) -> bool:
        if _began is not None and not self.should_exit and time.monotonic() - _began >= self._delay_s:
            super().handle_exit(signal.SIGTERM, None)
        return await super().on_tick(counter)
