"""The faults, each by plain means, in the order they are tried."""

from tests.chaos.faults import (  # noqa: F401  (each registers its faults)
    beat,
    chain,
    clocks,
    disk,
    dispatches,
    everything,
    failover,
    localnet,
    network,
    plan_turns,
    plans,
    postgres,
    processes,
    redis,
    sockets,
)
from tests.chaos.faults.registry import FAULTS, SHAPES

__all__ = ["FAULTS", "SHAPES"]
