"""A web process that is asked to stop resets nobody who had connected before its port was closed."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.engine import BASE_DIR, free_port
from tests.waiting import until

APPLICATION = """
import time

async def application(scope, receive, send):
    if scope["path"] == "/block":
        time.sleep(1.5)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})
"""
REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


LINUX = pytest.mark.skipif(sys.platform != "linux", reason="how a backlog of 0 behaves is Linux's")
Start = Callable[[], tuple["subprocess.Popen[bytes]", int]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """A web process as a user without rights, as the units run it."""
    (tmp_path / "busy.py").write_text(APPLICATION)
    environment = {name: value for name, value in os.environ.items() if name != "ORDERENGINE_PARENT"}
    environment |= {"STOP_DELAY_S": "0.5", "PYTHONPATH": f"{tmp_path}:{BASE_DIR}"}
    command = [sys.executable, "-m", "orderengine.host.server", "--app=busy:application", "--lifespan=off"]
    if os.geteuid() == 0:
        command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *command]
    servers: list[subprocess.Popen[bytes]] = []

    def started() -> tuple["subprocess.Popen[bytes]", int]:
        port = free_port()
        server = subprocess.Popen([*command, "--host=127.0.0.1", f"--port={port}"], cwd=BASE_DIR, env=environment)
        servers.append(server)
        until(lambda: answers(port), 60, 0.1)
        return server, port

    yield started
    for server in servers:
        server.kill()
        server.wait()


@LINUX
def test_who_had_connected_is_answered(start: Start) -> None:
    """The loop is busy when the port is due to close, and five clients wait at it."""
    server, port = start()
    blocking = connected(port, b"GET /block HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    server.send_signal(signal.SIGTERM)
    time.sleep(0.4)  # Within the second and a half for which nothing is accepted.
    clients = [blocking, *(connected(port, REQUEST) for _ in range(5))]
    try:
        assert [client.recv(15) for client in clients] == [b"HTTP/1.1 200 OK"] * 6
        assert server.wait(20) in (0, -signal.SIGTERM)
        with pytest.raises(OSError):
            connected(port, REQUEST)
    finally:
        for client in clients:
            client.close()


@LINUX
def test_a_request_that_comes_after_its_connection_is_answered(start: Start) -> None:
    """As a proxy's: it connects, the port is closed, and then it sends."""
    for _ in range(5):
        server, port = start()
        server.send_signal(signal.SIGTERM)
        stopped = time.monotonic()
        time.sleep(0.4)
        with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
            time.sleep(max(0.0, stopped + 0.75 - time.monotonic()))
            late = time.monotonic() - stopped > 0.9
            with contextlib.suppress(ConnectionError):
                client.sendall(REQUEST)
                answer = client.recv(15)
        assert server.wait(20) in (0, -signal.SIGTERM)
        if not late:  # Else this process was kept waiting: once more.
            assert answer == b"HTTP/1.1 200 OK"
            return
    pytest.fail("the machine is too busy to try it")


def connected(port: int, request: bytes) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), timeout=20)
    client.sendall(request)
    return client


def answers(port: int) -> bool:
    with contextlib.suppress(OSError), connected(port, REQUEST) as client:
        return client.recv(15) == b"HTTP/1.1 200 OK"
    return False
