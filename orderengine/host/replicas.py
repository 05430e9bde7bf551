"""Several processes of one kind in container mode, where no supervisord runs: started, restarted and stopped together."""

import contextlib
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from types import FrameType

PAUSE_S = 1.0
"""Before a process that ended starts again: one that cannot start must not use a core up."""
POLL_S = 0.2


class Replicas:
    """`start` starts the process of that index. They end when we are asked to, and the others go on when one ends."""

    def __init__(self, count: int, start: Callable[[int], "subprocess.Popen[bytes]"]) -> None:
        self._start = start
        self._children: list[subprocess.Popen[bytes] | None] = [None] * count
        self._due = [0.0] * count
        self._stopping: int | None = None

    def run(self) -> int:
        """Returns the exit code: 0 when all ended as asked."""
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, self._stop)
        while self._stopping is None:
            self._look()
            time.sleep(POLL_S)
        codes = [child.wait() for child in self._children if child is not None]
        return 0 if all(code in (0, -self._stopping) for code in codes) else 1

    def _look(self) -> None:
        now = time.monotonic()
        for index, child in enumerate(self._children):
            if child is not None and child.poll() is not None:
                self._children[index], self._due[index] = None, now + PAUSE_S
            elif child is None and now >= self._due[index]:
                self._children[index] = self._start(index)
        if self._stopping is not None:  # A signal came between two starts: whoever started later has missed it.
            forward(self._children, self._stopping)

    def _stop(self, signum: int, frame: FrameType | None) -> None:
        self._stopping = signum
        forward(self._children, signum)


def forward(children: Sequence["subprocess.Popen[bytes] | None"], signum: int) -> None:
    for child in children:
        if child is not None:
            with contextlib.suppress(ProcessLookupError):
                child.send_signal(signum)
