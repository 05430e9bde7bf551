"""The engine's one public socket. While a web process restarts clients wait; none is refused."""

import contextlib
import errno
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

BACKLOG = 4096


class Taken(Exception):
    """The address or the port cannot be used; the text is one line with the remedy."""


class Listener:
    def __init__(self, public: socket.socket) -> None:
        self.public = public
        self.private: socket.socket | None = None

    def give_to(self, path: Path) -> None:
        """Gives the socket to every process of ours that connects to `path`."""
        path.unlink(missing_ok=True)
        self.private = socket.socket(socket.AF_UNIX)
        self.private.bind(str(path))
        self.private.listen()
        threading.Thread(target=self.serve, args=(self.private,), daemon=True).start()

    def serve(self, private: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                channel, _ = private.accept()
                with channel, contextlib.suppress(OSError):
                    socket.send_fds(channel, [b"!"], [self.public.fileno()])

    def close(self) -> None:
        self.public.close()
        if self.private:
            # Closing alone would leave the other thread in accept.
            with contextlib.suppress(OSError):
                self.private.shutdown(socket.SHUT_RDWR)
            self.private.close()


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. Raises `Taken`, which says whether the address or the port is at fault."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise Taken(f"HOST {host!r} is no address of this machine: unset HOST or set it to 127.0.0.1") from None
    family, kind, protocol, _, address = found[0]
    public = socket.socket(family, kind, protocol)
    try:
        public.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Connections inherit it. uvicorn takes a handed socket for a Unix one and leaves Nagle's algorithm on: what
        # is written in two pieces, the second waits for the client's delayed acknowledgement of the first, 40 ms.
        public.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        public.bind(address)
        public.listen(BACKLOG)
    except OSError as error:
        public.close()
        if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
            raise Taken(f"HOST {host!r} is no address of this machine: unset HOST or set it to 127.0.0.1") from None
        raise Taken(f"port {port} on {host} cannot be used ({error.strerror}): set another PORT") from None
    return public


@contextlib.contextmanager
def bound(host: str, port: int) -> Iterator[Listener]:
    listener = Listener(bind(host, port))
    try:
        yield listener
    finally:
        listener.close()


def reachable(host: str) -> str:
    """The address under which this machine reaches what listens on `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # nosec B104
