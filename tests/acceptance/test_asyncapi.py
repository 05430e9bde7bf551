"""The AsyncAPI document describes what sockets really send."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from jsonschema.exceptions import ValidationError  # type: ignore[import-untyped]
from websockets.asyncio.client import connect

from tests.acceptance.client import Client


@pytest.fixture
async def document(client: Client) -> dict[str, Any]:
    return dict(await client.get("/api/asyncapi"))


def check(document: dict[str, Any], channel: str, text: str) -> str:
    """The name of the channel's message that the frame is. Raises `ValidationError` where it is none or several."""
    frame, found = json.loads(text), []
    for name in document["channels"][channel]["messages"]:
        schema = {"components": document["components"]} | document["components"]["messages"][name]["payload"]["schema"]
        if Draft202012Validator(schema).is_valid(frame):
            found.append(name)
    if len(found) != 1:
        raise ValidationError(f"{channel}: {found or 'no message'} of the document is {text}")
    return str(found[0])


async def test_every_frame_of_an_order_is_described(client: Client, document: dict[str, Any]) -> None:
    order = await client.place()
    async with connect(order["ws"], open_timeout=30) as socket:
        seen = [check(document, "order", str(text)) async for text in socket]

    assert seen[0] == "orderSnapshot" and "event" in seen


async def test_every_frame_of_the_other_streams_is_described(client: Client, document: dict[str, Any]) -> None:
    async with connect(f"{client.engine.ws_url}/ws/orders", open_timeout=30) as socket:
        kinds = [check(document, "orders", str(await socket.recv()))]
        await client.place()
        kinds += [check(document, "orders", str(await socket.recv())) for _ in range(5)]
    assert kinds == ["ordersSnapshot", *["event"] * 5]

    async with connect(f"{client.engine.ws_url}/ws/quotes/SOL-USDC", open_timeout=30) as socket:
        assert check(document, "quotes", str(await socket.recv())) == "quotes"


async def test_every_frame_of_a_plan_is_described(client: Client, document: dict[str, Any]) -> None:
    wanted = {"kind": "bracket", "tokenIn": "SOL", "tokenOut": "USDC", "amount": "1", "entry": False}
    exits = [{"kind": "takeProfit", "atBps": 5000}, {"kind": "stopLoss", "atBps": 5000}]
    placed = await client.http.post("/api/plans", json={**wanted, "exits": exits})
    assert placed.status_code == 200, placed.text
    plan = placed.json()["planId"]
    async with connect(f"{client.engine.ws_url}/ws/plans/{plan}", open_timeout=30) as socket:
        kinds = [check(document, "plan", str(await socket.recv()))]
        assert (await client.http.delete(f"/api/plans/{plan}")).status_code == 200
        kinds += [check(document, "plan", str(text)) async for text in socket]
    assert kinds[0] == "planSnapshot" and set(kinds[1:]) == {"planEvent"}


async def test_a_frame_that_is_not_described_is_found(client: Client, document: dict[str, Any]) -> None:
    order = await client.place()
    async with connect(order["ws"], open_timeout=30) as socket:
        frame = json.loads(await socket.recv())
    for broken in (frame | {"seq": "1"}, frame | {"status": "lost"}, {**frame, "order": {}}, frame | {"type": "x"}):
        with pytest.raises(ValidationError):
            check(document, "order", json.dumps(broken))


async def test_the_document_is_whole(client: Client, document: dict[str, Any]) -> None:
    assert document["asyncapi"] == "3.0.0"

    def references(part: Any) -> list[str]:
        if isinstance(part, dict):
            return [part["$ref"]] if "$ref" in part else [each for value in part.values() for each in references(value)]
        return [each for value in part for each in references(value)] if isinstance(part, list) else []

    for reference in set(references(document)):
        found: Any = document
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]
        assert found
