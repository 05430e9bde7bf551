"""Kept connections to a node, with one that really closes them."""

import json
import time
from collections.abc import Iterator

import pytest

from routing.solana.rpc import Node
from tests.serving import Asked, Said, serving

IDLE_S = 0.1


@pytest.fixture
def url() -> Iterator[str]:
    """Of a node that answers a call with its method, and closes what is idle for `IDLE_S`."""

    def answer(asked: Asked) -> Said:
        call = json.loads(asked.body)
        return Said(json.dumps({"jsonrpc": "2.0", "id": call["id"], "result": call["method"]}).encode())

    with serving(answer, idle_s=IDLE_S) as url:
        yield url


async def test_a_connection_that_the_node_has_closed_costs_no_answer(url: str) -> None:
    node = Node(url)
    for _ in range(3):
        assert bytes(await node.call("getHealth")) == b'"getHealth"'
        time.sleep(5 * IDLE_S)  # noqa: ASYNC251  A loop that is busy does not see that the connection is closed.
    await node.close()
