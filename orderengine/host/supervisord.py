"""supervisord as this engine needs it: prompt, at home in every path, alive on a full disk, sharing imports with its children."""

import contextlib
import functools
import os
import signal
import sys
from typing import Any

from supervisor import loggers, poller, supervisord
from supervisor import options as supervisor_options
from supervisor.options import ServerOptions

from orderengine.host.preload import Preload
from orderengine.host.processes import STORAGE

SETTLE_S = 0.02
"""After a signal its loop reaps in one round and starts again in the next."""


PRELOAD = Preload()
LULL_S = 0.02
"""Without a request for so long it imports: whoever asked for the storage to be started has his answer."""


class Options(ServerOptions):  # type: ignore[misc]
    def execve(self, filename: str, argv: list[str], env: dict[str, str]) -> None:
        PRELOAD.become(argv, env)
        super().execve(filename, argv, env)


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
        importing = not PRELOAD.tried and self.storage_runs()
        if self.settling or importing:
            timeout = min(timeout, SETTLE_S if self.settling else LULL_S)
        readable, writable = super().poll(timeout)
        if importing and not readable and not writable:
            # While the storage starts and the database is prepared nobody asks for anything.
            PRELOAD.load()
        if reader in readable:
            readable.remove(reader)
            with contextlib.suppress(BlockingIOError):
                os.read(reader, 4096)
            self.settling = 4
        return readable, writable

    def storage_runs(self) -> bool:
        """Whether everything that goes first has been started."""
        groups = [group for group in self.options.process_group_configs if group.name == STORAGE]
        return len(self.options.pidhistory) >= sum(len(group.process_configs) for group in groups)


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
    options = Options()
    options.poller = PromptPoller(options)
    options.realize(sys.argv[1:], doc=__doc__)
    options.first = True
    options.test = False
    supervisord.go(options)
    options.close_httpservers()
    options.close_logger()


if __name__ == "__main__":
    main()
