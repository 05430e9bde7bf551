"""Answers of servers that are too large, too late, elsewhere or nonsense, from one that really gives them."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from routing.http import NoAnswer, RpcError, TimedOut, rpc
from routing.solana.http import HttpClient
from tests.serving import Asked, Said, serving

KEY = "q1w2e3r4t5"
FAULT = json.dumps({"jsonrpc": "2.0", "id": 1, "error": {"code": -32602, "message": "bad params"}}).encode()
ANSWERS = {
    "/good": (200, b'{"jsonrpc": "2.0", "id": 1, "result": 7, "news": []}'),
    "/fault": (200, FAULT),
    "/nonsense": (200, b"<html>"),
    "/busy": (503, b"{}"),
    "/large": (200, b"x" * 5_000),
}


Serve = tuple[str, list[str]]
"""A server's URL, and the paths that it was asked for."""


@pytest.fixture
def server() -> Iterator[Serve]:
    paths: list[str] = []

    def answer(asked: Asked) -> Said:
        path = asked.path.partition("?")[0]
        paths.append(path)
        if path == "/late":
            time.sleep(1)
        status, body = ANSWERS.get(path, (307, b""))
        return Said(body, status, {"Location": "/good"})

    with serving(answer) as url:
        yield url, paths


@pytest.fixture
def url(server: Serve) -> str:
    return server[0]


@pytest.fixture
async def client() -> Any:
    made = HttpClient(max_bytes=4_000)
    yield made
    await made.close()


async def test_an_answer_that_is_too_large_or_too_late_is_none(url: str, client: HttpClient) -> None:
    with pytest.raises(NoAnswer, match="more than 4000 bytes"):
        await client.ask(f"{url}/large", body=b"{}", timeout_s=5)
    with pytest.raises(TimedOut):
        await client.ask(f"{url}/late", body=b"{}", timeout_s=0.2)


async def test_a_body_is_not_sent_on_to_elsewhere(server: Serve, client: HttpClient) -> None:
    url, paths = server
    assert (await client.ask(f"{url}/elsewhere", body=b"{}", timeout_s=5)).status == 307
    with pytest.raises(NoAnswer, match="HTTP 307|no answer of a node"):
        rpc(f"{url}/elsewhere", "getSlot", timeout_s=5)
    assert paths == ["/elsewhere", "/elsewhere"]


def test_a_call_that_blocks_has_a_result_an_error_of_the_node_or_none(url: str) -> None:
    assert rpc(f"{url}/good", "getSlot", timeout_s=5, type_=int) == 7
    with pytest.raises(RpcError, match="bad params") as caught:
        rpc(f"{url}/fault", "getSlot", timeout_s=5)
    assert caught.value.code == -32602
    for path, type_ in (("nonsense", int), ("busy", int), ("good", str), ("good", list)):
        with pytest.raises(NoAnswer):
            rpc(f"{url}/{path}", "getSlot", timeout_s=5, type_=type_)


@pytest.mark.parametrize("start", ["http://127.0.0.1:9", "ftp://rpc.example", "rpc.example", "https://[::"])
def test_no_error_says_the_key_of_an_address(start: str) -> None:
    with pytest.raises(NoAnswer) as caught:
        rpc(f"{start}/?api-key={KEY}", "getSlot", timeout_s=1)
    assert KEY not in str(caught.value)
