"""The shapes an engine is tried in, and what registers a fault."""

import contextlib
import os
import signal
from collections.abc import Awaitable, Callable

from tests.chaos.arena import Shape
from tests.chaos.trial import Fault, Trial

ONE = Shape("one", {})
TWO = Shape("two", {"WORKERS_ORDERS": "2", "MOCK_VALID_S": "10", "DRAIN_S": "3"})
CRASHES = Shape("crashes", {"WORKERS_ORDERS": "2", "MOCK_LATENCY": "0.3"})
PROXIED = Shape("proxied", {"WORKERS_ORDERS": "2", "MOCK_VALID_S": "20", "DATABASE_POOL": "1"}, proxied=True)
STANDBY = Shape("standby", {"WORKERS_ORDERS": "2", "MOCK_VALID_S": "20"}, standby=True)
CLOCKS = Shape("clocks", {"WORKERS_ORDERS": "2", "MOCK_VALID_S": "20"}, proxied=True, clocks=True)
SMALL = Shape("small", {}, disk_mb=700)
LOCALNET = Shape("localnet", {"WORKERS_ORDERS": "2", "EXECUTION_MODE": "localnet", "LOCALNET_SLOT_MS": "100"})
"""Real transactions. Their 150 blocks last fifteen seconds."""
SHAPES = {shape.name: shape for shape in (ONE, CRASHES, TWO, PROXIED, STANDBY, CLOCKS, SMALL, LOCALNET)}
FAULTS: dict[str, Fault] = {}

Inject = Callable[[Trial], Awaitable[None]]


def fault(shape: Shape, **options: object) -> Callable[[Inject], Inject]:
    def register(inject: Inject) -> Inject:
        FAULTS[inject.__name__] = Fault(inject.__name__, shape.name, inject, **options)  # type: ignore[arg-type]
        return inject

    return register


def thaw(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)
