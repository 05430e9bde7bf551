"""A node's address may hold a key: no error says it, for errors reach clients as the reason why an order failed."""

from collections.abc import Iterator

import pytest

from routing.http import NoAnswer
from routing.solana.rpc import Node
from tests.serving import Said, serving

KEY = "q1w2e3r4t5"


@pytest.fixture
def redirecting() -> Iterator[str]:
    """Sends everybody on, for ever."""
    with serving(lambda asked: Said(status=307, headers={"Location": asked.path})) as url:
        yield f"{url}/?api-key={KEY}"


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
