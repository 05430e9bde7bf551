"""A wire to Postgres that can be cut, or cut just after an answer was given and before it arrives."""

import contextlib
import socket
import tempfile
import threading
from pathlib import Path
from types import TracebackType

from psycopg.conninfo import conninfo_to_dict, make_conninfo


class Wire:
    """`url` leads to the database of `target` through this process."""

    def __init__(self, target: str) -> None:
        self._parts = conninfo_to_dict(target)
        self._folder = tempfile.TemporaryDirectory(prefix="wire-")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(f"{self._folder.name}/.s.PGSQL.5432")
        self._listener.listen()
        self._open: list[socket.socket] = []
        self._swallow = threading.Event()
        self.swallowed = threading.Event()
        """An answer of the server's was thrown away."""
        self._away = False
        self.url = make_conninfo(target, host=self._folder.name, port="5432")
        threading.Thread(target=self._accept, daemon=True).start()

    def swallow_next_answer(self) -> None:
        """The next statement is carried out; whoever sent it hears of nothing but a lost connection."""
        self.swallowed.clear()
        self._swallow.set()

    def cut(self) -> None:
        """No connection lasts and none is made, until `mend`."""
        self._away = True
        for end in self._open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        self._away = False

    def __enter__(self) -> "Wire":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cut()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._folder.cleanup()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._away:
                client.close()
                continue
            server = self._connect()
            self._open += [client, server]
            threading.Thread(target=self._pump, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, True), daemon=True).start()

    def _connect(self) -> socket.socket:
        host, port = str(self._parts["host"]), str(self._parts.get("port", "5432"))
        if not host.startswith("/"):
            return socket.create_connection((host, int(port)))
        server = socket.socket(socket.AF_UNIX)
        server.connect(str(Path(host) / f".s.PGSQL.{port}"))
        return server

    def _pump(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if answers and self._swallow.is_set():
                    self._swallow.clear()
                    self.swallowed.set()
                    break
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        source.close()
