"""Processes that stand still: neither gone nor answering."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil


@contextmanager
def frozen(main: psutil.Process) -> Iterator[None]:
    """A process and its children, by SIGSTOP; itself first, so that no child is added meanwhile."""
    main.suspend()
    processes = [main]
    try:
        processes += main.children()
        for process in processes:
            with suppress(psutil.NoSuchProcess):  # one that had just ended
                process.suspend()
        yield
    finally:
        for process in reversed(processes):
            with suppress(psutil.NoSuchProcess):
                process.resume()
