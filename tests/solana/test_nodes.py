"""Several nodes: read from a healthy one, send to all, none of another cluster or without history."""

import asyncio
import contextlib
import gc
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from routing.http import NoAnswer, RpcError
from routing.solana.nodes import MAX_REFUSALS, NO_HISTORY, At, NodeRefused, Nodes
from routing.solana.rpc import LEAST_REST_S, MAX_BATCH
from routing.values import Fate
from routing.venue import SubmitUnknown, VenueUnavailable
from tests.localnet.node import Localnet
from tests.solana.stage import Stage, pair

GENESIS = "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d"


class Foreign:
    """Somebody's node, as far as a test needs it: answers what it is told to, in batches too."""

    def __init__(self, **answers: Any) -> None:
        self.answers: dict[str, Any] = {"getGenesisHash": GENESIS, "getSignatureStatuses": {"value": [None]}, **answers}
        self.requests: list[list[str]] = []
        self.status, self.hangs, self.headers = 200, False, dict[str, str]()
        self.url = ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Foreign"]:
        application = web.Application()
        application.router.add_post("/", self._answer)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://key:secret@127.0.0.1:{runner.addresses[0][1]}/"
        yield self
        await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        calls = await request.json()
        one = not isinstance(calls, list)
        calls = [calls] if one else calls
        self.requests.append([call["method"] for call in calls])
        if self.hangs:
            await asyncio.sleep(60)
        found = [self._one(call) for call in calls]
        return web.json_response(found[0] if one else found, status=self.status, headers=self.headers)

    def _one(self, call: dict[str, Any]) -> dict[str, Any]:
        answer = self.answers.get(call["method"], {"code": -32601, "message": "Method not found"})
        key = "error" if isinstance(answer, dict) and "code" in answer else "result"
        return {"jsonrpc": "2.0", "id": call["id"], key: answer}

    def asked(self, method: str) -> int:
        return sum(request.count(method) for request in self.requests)


@asynccontextmanager
async def cluster(*foreigners: Foreign, **options: Any) -> AsyncIterator[Nodes]:
    async with asyncio.timeout(60), AsyncExitStack() as stack:
        for each in foreigners:
            await stack.enter_async_context(each.serving())
        nodes = Nodes([each.url for each in foreigners], genesis_hash=GENESIS, **options)
        try:
            yield nodes
        finally:
            await nodes.close()


async def test_a_node_of_another_cluster_is_refused_in_one_line(node: Localnet) -> None:
    """And nothing is asked of it or sent to it, whatever else fails."""
    async with contextlib.AsyncExitStack() as stack:
        nodes = Nodes([node.addresses["rpcUrl"]], genesis_hash=GENESIS)
        stack.push_async_callback(nodes.close)
        with pytest.raises(NodeRefused) as caught:
            await nodes.verify()
        assert str(caught.value).splitlines() == [str(caught.value)]
        assert node.addresses["genesisHash"] in str(caught.value) and GENESIS in str(caught.value)
        before = node.control("state")["submissions"]
        with pytest.raises(NoAnswer):
            await nodes.read(int, "getBlockHeight")
        with pytest.raises(NoAnswer):
            await nodes.send("transaction")
        assert node.control("state")["submissions"] == before


async def test_a_world_on_the_wrong_cluster_signs_nothing(node: Localnet) -> None:
    stage = Stage(node, genesis_hash=GENESIS)
    with pytest.raises(VenueUnavailable):
        await stage.venue().quote(pair(), 1)
    assert stage.signer.signed == []
    await stage.world.close()


async def test_a_node_without_history_is_refused_and_its_key_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    forgetful = Foreign(getSignatureStatuses={"code": NO_HISTORY, "message": "not available"})
    whole = Foreign(getBlockHeight=7)
    with caplog.at_level(logging.DEBUG):
        async with cluster(forgetful, whole) as nodes:
            with pytest.raises(NodeRefused, match="no transaction history"):
                await nodes.verify()
            assert await nodes.read(int, "getBlockHeight") == 7
    assert forgetful.asked("getBlockHeight") == 0
    assert "no transaction history" in caplog.text and "secret" not in caplog.text


async def test_a_node_that_is_ill_is_passed_over_and_asked_again_later() -> None:
    first, second = Foreign(getBlockHeight=1), Foreign(getBlockHeight=2)
    async with cluster(first, second) as nodes:
        await nodes.verify()
        assert await nodes.read(int, "getBlockHeight") == 1
        first.status = 503
        assert await nodes.read(int, "getBlockHeight") == 2
        asked = first.asked("getBlockHeight")
        assert await nodes.read(int, "getBlockHeight") == 2
        assert first.asked("getBlockHeight") == asked, "it is left alone for a while"
        first.status = 200
        while await nodes.read(int, "getBlockHeight") != 1:
            await asyncio.sleep(0.05)


async def test_a_node_that_says_it_is_behind_is_passed_over() -> None:
    first = Foreign(getBlockHeight={"code": -32005, "message": "Node is behind by 200 slots"})
    async with cluster(first, Foreign(getBlockHeight=2)) as nodes:
        assert await nodes.read(int, "getBlockHeight") == 2


async def test_a_node_whose_slot_is_far_behind_the_others_is_not_read_from() -> None:
    def at(slot: int) -> dict[str, Any]:
        return {"context": {"slot": slot}, "value": slot}

    first, second = Foreign(getBalance=at(1_000)), Foreign(getBalance=at(1_000))
    async with cluster(first, second) as nodes:
        await nodes.verify()
        first.status = 503
        assert (await nodes.read(At[int], "getBalance")).value == 1_000
        first.status, first.answers["getBalance"] = 200, at(800)
        for state in nodes.states:
            state.rests_until = 0
        await nodes.read(At[int], "getBalance")
        assert (await nodes.read(At[int], "getBalance")).value == 1_000


async def test_an_answer_that_is_an_error_is_no_illness() -> None:
    first, second = Foreign(getBalance={"code": -32602, "message": "Invalid params"}), Foreign(getBalance=1)
    async with cluster(first, second) as nodes:
        with pytest.raises(RpcError) as caught:
            await nodes.read(int, "getBalance")
        assert caught.value.code == -32602 and second.asked("getBalance") == 0


async def test_a_transaction_goes_to_every_node_and_the_first_answer_is_enough() -> None:
    taker, refuser, hanging = Foreign(sendTransaction="signature"), Foreign(), Foreign(sendTransaction="signature")
    async with cluster(refuser, hanging, taker) as nodes:
        await nodes.verify()
        hanging.hangs = True
        await nodes.send("transaction")
        while not all(each.asked("sendTransaction") for each in (taker, refuser, hanging)):
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "answer",
    [
        {"code": -32002, "message": "Transaction simulation failed: This transaction has already been processed"},
        {"code": -32003, "message": "Transaction signature verification failure"},
        {"code": -32005, "message": "Node is unhealthy"},
    ],
)
async def test_no_answer_to_a_transaction_is_a_refusal(stage: Stage, answer: dict[str, Any]) -> None:
    """It has landed meanwhile, as far as such a node can know."""
    swap = await stage.build()
    refusing = Foreign(sendTransaction=answer, getGenesisHash=stage.node.addresses["genesisHash"])
    async with refusing.serving():
        other = stage.open([refusing.url], ws_urls=[])
        with pytest.raises(SubmitUnknown):
            await other.chain.submit(swap)
        await other.close()
    await stage.world.chain.submit(swap)
    assert (await stage.settled(swap)).fate is Fate.LANDED


async def test_calls_that_are_made_together_go_in_few_requests() -> None:
    one = Foreign(getBlockHeight=1)
    async with cluster(one) as nodes:
        await nodes.verify()
        one.requests.clear()
        assert await asyncio.gather(*(nodes.read(int, "getBlockHeight") for _ in range(400))) == [1] * 400
        assert len(one.requests) <= 4 + -(-396 // MAX_BATCH)


async def test_a_node_s_rate_is_kept_and_another_one_takes_the_rest() -> None:
    slow, other = Foreign(getBlockHeight=1), Foreign(getBlockHeight=2)
    async with cluster(slow, other, per_s=5.0) as nodes:
        await nodes.verify()
        answers = await asyncio.gather(*(nodes.read(int, "getBlockHeight") for _ in range(10)))
        assert answers.count(1) >= 5 and answers.count(2) >= 4


async def test_two_nodes_that_disagree_lose_and_double_nothing(start_localnet: Callable[..., Localnet]) -> None:
    """One of them lags while the transaction lands: whichever is asked, it is never called expired."""
    node = start_localnet(hold="", nodes="2")
    first = node.addresses["rpcUrl"]
    port = int(first.rpartition(":")[2])
    stage = Stage(node, [first, f"http://127.0.0.1:{port + 2}"])
    swap = await stage.build()
    await stage.world.chain.submit(swap)
    node.tick(200)
    node.control("fault", fault="lag", count=3, node=1)
    fates = [(await stage.world.chain.status([swap]))[0].fate for _ in range(6)]
    assert set(fates) <= {Fate.PENDING, Fate.LANDED} and fates[-1] is Fate.LANDED
    assert len(stage.landed("order-1/1")) == 1
    await stage.world.close()


async def test_nobody_waits_for_a_node_that_is_closed(caplog: pytest.LogCaptureFixture) -> None:
    """Also who has no request under way yet."""
    one = Foreign(getBlockHeight=1)
    async with cluster(one) as nodes:
        await nodes.verify()
        one.hangs = True
        reading = [asyncio.create_task(nodes.read(int, "getBlockHeight")) for _ in range(50)]
        while not one.asked("getBlockHeight"):
            await asyncio.sleep(0.01)
        await nodes.close()
        async with asyncio.timeout(3):
            ended = await asyncio.gather(*reading, return_exceptions=True)
        assert {type(each) for each in ended} == {asyncio.CancelledError}
    gc.collect()
    assert "never retrieved" not in caplog.text


def refusing(retry_after_s: str) -> tuple[int, dict[str, str]]:
    return 429, {"retry-after": retry_after_s}


async def test_a_node_that_refuses_for_too_many_requests_is_left_alone_for_as_long_as_it_says() -> None:
    limited, other = Foreign(getBlockHeight=7), Foreign(getBlockHeight=7)
    async with cluster(limited, other) as nodes:
        await nodes.verify()
        limited.status, limited.headers = refusing("30")
        before = len(limited.requests)
        for _ in range(10):
            assert await nodes.read(int, "getBlockHeight") == 7
        assert len(limited.requests) == before + 1 and other.asked("getBlockHeight") == 10


async def test_what_every_node_refuses_is_asked_again_when_they_allow_it() -> None:
    limited = Foreign(getBlockHeight=7)
    async with cluster(limited) as nodes:
        await nodes.verify()
        limited.status, limited.headers = refusing("0.4")
        began, reading = time.monotonic(), asyncio.create_task(nodes.read(int, "getBlockHeight"))
        while not limited.asked("getBlockHeight"):
            await asyncio.sleep(0.01)
        limited.status = 200
        assert await reading == 7 and time.monotonic() - began >= 0.4
        limited.status, limited.headers = refusing("0")
        began = time.monotonic()
        with pytest.raises(NoAnswer):
            await nodes.read(int, "getBlockHeight")
        assert time.monotonic() - began >= (MAX_REFUSALS - 1) * LEAST_REST_S, "it is not asked without a pause"


async def test_a_node_that_allows_too_few_is_waited_for_while_the_other_one_is_away() -> None:
    limited, away = Foreign(getBlockHeight=7), Foreign(getBlockHeight=7)
    async with cluster(limited, away) as nodes:
        await nodes.verify()
        away.status = 503
        limited.status, limited.headers = refusing("0.4")
        reading = asyncio.create_task(nodes.read(int, "getBlockHeight"))
        while not limited.asked("getBlockHeight"):
            await asyncio.sleep(0.01)
        limited.status = 200
        assert await reading == 7
        assert [state.failures for state in nodes.states] == [0, 1], "it is well, and the other one is not asked again"


async def test_what_is_read_does_not_wait_behind_what_is_sent_again() -> None:
    """Thousands of transactions may be waited for at once; how they end, and prices, are read of the same nodes."""
    slow = Foreign(getBlockHeight=7, sendTransaction="signature")
    async with cluster(slow, per_s=20.0) as nodes:
        await nodes.verify()
        while nodes.states[0].node.take():
            pass
        sent = [asyncio.create_task(nodes.send("transaction", again=True)) for _ in range(300)]
        await asyncio.sleep(0.2)
        began = time.monotonic()
        for _ in range(3):
            assert await nodes.read(int, "getBlockHeight") == 7
        assert not all(task.done() for task in sent), f"it took {time.monotonic() - began:.1f} s"
        await asyncio.gather(*sent, return_exceptions=True)
        assert slow.asked("sendTransaction") > 1, "they have their turn"


async def test_a_transaction_is_sent_at_once_and_sent_again_only_in_turn() -> None:
    """Nobody keeps a transaction that was dropped, but what became of it can be read only if there is room for that."""
    limited = Foreign(getBlockHeight=7, sendTransaction="signature")
    async with cluster(limited) as nodes:
        await nodes.verify()
        limited.status, limited.headers = refusing("30")
        with pytest.raises(NoAnswer):
            await nodes.send("transaction")
        limited.status = 200
        with pytest.raises(NoAnswer, match="no more requests"):
            await nodes.send("transaction", again=True)
        assert limited.asked("sendTransaction") == 1
        await nodes.send("transaction")
        assert limited.asked("sendTransaction") == 2
