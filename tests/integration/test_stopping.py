"""A web process that is asked to stop resets nobody who had connected before its port was closed."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
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


@pytest.mark.skipif(sys.platform != "linux", reason="the filter is Linux's")
def test_who_had_connected_is_answered(tmp_path: Path) -> None:
    """The loop is busy when the port is due to close, and five clients wait at it."""
    (tmp_path / "busy.py").write_text(APPLICATION)
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if name != "ORDERENGINE_PARENT"}
    environment |= {"STOP_DELAY_S": "0.5", "PYTHONPATH": f"{tmp_path}:{BASE_DIR}"}
    command = [sys.executable, "-m", "orderengine.host.server", "--app=busy:application", "--lifespan=off"]
    server = subprocess.Popen([*command, "--host=127.0.0.1", f"--port={port}"], cwd=BASE_DIR, env=environment)
    clients: list[socket.socket] = []
    try:
        until(lambda: answers(port), 60, 0.1)
        blocking = connected(port, b"GET /block HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        server.send_signal(signal.SIGTERM)
        time.sleep(0.4)  # Within the second and a half for which nothing is accepted.
        clients = [blocking, *(connected(port, REQUEST) for _ in range(5))]
        assert [client.recv(15) for client in clients] == [b"HTTP/1.1 200 OK"] * 6
        assert server.wait(20) in (0, -signal.SIGTERM)
        with pytest.raises(OSError):
            connected(port, REQUEST)
    finally:
        for client in clients:
            client.close()
        server.kill()
        server.wait()


def connected(port: int, request: bytes) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), timeout=20)
    client.sendall(request)
    return client


def answers(port: int) -> bool:
    with contextlib.suppress(OSError), connected(port, REQUEST) as client:
        return client.recv(15) == b"HTTP/1.1 200 OK"
    return False
