"""supervisord as this engine needs it: prompt, at home in every path, and alive on a full disk."""

import contextlib
import functools
import os
import signal
import sys
from typing import Any

from supervisor import loggers, poller, supervisord
from supervisor import options as supervisor_options
from supervisor.options import ServerOptions

SETTLE_S = 0.02
"""After a signal its loop reaps in one round and starts again in the next."""


class PromptPoller(poller.Poller):  # type: ignore[misc]
    """Also wakes for signals, which Python otherwise hides from a running poll().

    Its own loop takes up to a second to see a child's end, twice for a restart.
    """

    reader: int | None = None
    settling = 0

    def watch(self) -> int:
        self.reader, writer = os.pipe()
        os.set_blocking(self.reader, False)
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        return self.reader

    def poll(self, timeout: float) -> tuple[list[int], list[int]]:
        reader = self.watch() if self.reader is None else self.reader
        self.register_readable(reader)
        self.settling = max(0, self.settling - 1)
        readable, writable = super().poll(min(timeout, SETTLE_S) if self.settling else timeout)
        if reader in readable:
            readable.remove(reader)
            with contextlib.suppress(BlockingIOError):
                os.read(reader, 4096)
            self.settling = 4
        return readable, writable


PlainParser = functools.partial(supervisor_options.UnhosedConfigParser, inline_comment_prefixes=())
"""Reads values to their end: ` #` and ` ;` are legal in paths (Supervisor #1441)."""


class PatientHandler(loggers.RotatingFileHandler):  # type: ignore[misc]
    """A log file that loses lines while the disk is full, and goes on when there is room.

    Supervisor's own prints the traceback of a failed write to a stream on the same disk, fails again and ends.
    """

    stream: Any

    def handleError(self) -> None:
        pass

    def emit(self, record: Any) -> None:
        try:
            if self.stream.closed:
                self.stream = open(self.baseFilename, self.mode)  # noqa: SIM115 - kept open
            super().emit(record)
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                # Closed also where its buffer cannot be written: the next line opens it anew.
                self.stream.close()


def main() -> None:
    supervisor_options.UnhosedConfigParser = PlainParser
    loggers.RotatingFileHandler = PatientHandler
    options = ServerOptions()
    options.poller = PromptPoller(options)
    options.realize(sys.argv[1:], doc=__doc__)
    options.first = True
    options.test = False
    supervisord.go(options)
    options.close_httpservers()
    options.close_logger()


if __name__ == "__main__":
    main()
