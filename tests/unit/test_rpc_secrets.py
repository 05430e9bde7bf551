"""A node's address may hold a key: no error says it, for errors reach clients as the reason why an order failed."""

import http.server
import threading
from collections.abc import Iterator

import pytest

from routing.http import NoAnswer
from routing.solana.rpc import Node

KEY = "q1w2e3r4t5"


class Elsewhere(http.server.BaseHTTPRequestHandler):
    """Sends everybody on, for ever."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(307)
        self.send_header("Location", self.path)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def redirecting() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/?api-key={KEY}"
        server.shutdown()


async def refusal(url: str) -> str:
    node = Node(url)
    try:
        with pytest.raises(NoAnswer) as caught:
            await node.call("getSlot")
    finally:
        await node.close()
    return str(caught.value)


@pytest.mark.parametrize("start", ["ftp://rpc.example", "rpc.example", "http//rpc.example"])
async def test_what_is_no_address_of_a_node_is_not_quoted(start: str) -> None:
    assert (await refusal(f"{start}/?api-key={KEY}")).endswith(": no address of a server")


async def test_a_node_that_sends_us_elsewhere_is_not_followed(redirecting: str) -> None:
    assert (await refusal(redirecting)).endswith(": HTTP 307")
