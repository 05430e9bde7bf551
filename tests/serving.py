"""HTTP servers of a test on loopback: a function says what they answer."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Asked(NamedTuple):
    method: str
    path: str
    """With its query."""
    headers: Mapping[str, str]
    body: bytes


class Said(NamedTuple):
    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = {}


@contextmanager
def serving(answer: Callable[[Asked], Said], *, port: int = 0, idle_s: float | None = None) -> Iterator[str]:
    """The server's URL without a slash at its end. Requests are answered in threads of their own.

    `idle_s`: connections are kept, and closed by the server once they were idle for so long.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0" if idle_s is None else "HTTP/1.1"
        timeout = idle_s

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            said = answer(Asked(self.command, self.path, self.headers, body))
            self.send_response(said.status)
            for name, value in {"Content-Length": str(len(said.body)), **said.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(said.body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
