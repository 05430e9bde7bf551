"""Signals as something to wait for: a handler only sets a flag, and the main loop acts on it."""

import contextlib
import os
import select
import signal
from types import FrameType


class Stopped(Exception):
    """Somebody asked us to end."""


class Signals:
    def __init__(self) -> None:
        self.stopping = False
        """Already on the way out: a second Ctrl-C must not disturb the stop."""
        self.asked = False
        self.reader, writer = os.pipe()
        os.set_blocking(self.reader, False)
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if signal.getsignal(signum) != signal.SIG_IGN:
                signal.signal(signum, self.note)
        # Whatever our parent set for it: a terminal stops us by the interrupt. A child's end wakes us.
        signal.signal(signal.SIGINT, self.note)
        signal.signal(signal.SIGCHLD, lambda signum, frame: None)

    def note(self, signum: int, frame: FrameType | None) -> None:
        self.asked = True

    def check(self) -> None:
        if self.asked and not self.stopping:
            raise Stopped

    def wait(self, seconds: float) -> None:
        """Until a signal or the time; raises when one of them asks for the end."""
        self.check()
        select.select([self.reader], [], [], seconds)
        with contextlib.suppress(BlockingIOError):
            os.read(self.reader, 4096)
        self.check()
