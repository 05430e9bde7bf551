"""How a process that serves thousands of things at once wants its interpreter set."""

import gc
import sys

SWITCH_INTERVAL_S = 0.001
"""The loop gives the interpreter lock away at every system call and then waits for it: by default 5 ms, the time that an
event takes to its client."""
GC_THRESHOLD = (20_000, 20, 50)
"""By default every 700 new objects start a collection, and thousands of orders in flight are looked at again and again."""


def settle() -> None:
    """Call it once what lives as long as the process is loaded: the garbage collector leaves that alone from now on."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLD)
