"""supervisord that acts on a child's end at once: its own loop takes up to a second, twice for a restart."""

import contextlib
import os
import signal
import sys

from supervisor import poller, supervisord
from supervisor.options import ServerOptions

SETTLE_S = 0.02
"""After a signal its loop reaps in one round and starts again in the next."""


class PromptPoller(poller.Poller):  # type: ignore[misc]
    """Also wakes for signals, which Python otherwise hides from a running poll()."""

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


def main() -> None:
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
