"""Kept connections to a node, with one that really closes them."""

import json
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from routing.solana.rpc import Node

IDLE_S = 0.1


class Impatient(BaseHTTPRequestHandler):
    """Answers a call with its method, and closes what is idle for `IDLE_S`."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_S

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        body = json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": asked["method"]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Impatient)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


async def test_a_connection_that_the_node_has_closed_costs_no_answer(url: str) -> None:
    node = Node(url)
    for _ in range(3):
        assert bytes(await node.call("getHealth")) == b'"getHealth"'
        time.sleep(5 * IDLE_S)  # noqa: ASYNC251  A loop that is busy does not see that the connection is closed.
    await node.close()
