"""The engine's one public socket. While a web process restarts clients wait; none is refused."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

BACKLOG = 4096


class Taken(Exception):
    """The port belongs to someone else, or cannot be bound; the text is one line with the remedy."""


class Listener:
    def __init__(self, public: socket.socket) -> None:
        self.public = public
        self.private: socket.socket | None = None

    def hand_out(self, path: Path) -> None:
        """Give the socket to every process of ours that connects to `path`."""
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


@contextlib.contextmanager
def bound(host: str, port: int) -> Iterator[Listener]:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        public = socket.socket(family, kind, protocol)
        public.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Connections inherit it. uvicorn takes a handed socket for a Unix one and leaves Nagle's algorithm on: what
        # is written in two pieces, the second waits for the client's delayed acknowledgement of the first, 40 ms.
        public.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        public.bind(address)
        public.listen(BACKLOG)
    except OSError as error:
        raise Taken(f"port {port} on {host} cannot be used ({error.strerror}): set another PORT") from None
    listener = Listener(public)
    try:
        yield listener
    finally:
        listener.close()
