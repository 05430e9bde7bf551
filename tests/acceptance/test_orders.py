"""An order as its client lives it: posted, worked on by a real worker, watched to its end."""

import asyncio
import functools
import json
import re
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any
from uuid import uuid4

import httpx
import pytest
from websockets.asyncio import client as websocket
from websockets.exceptions import ConnectionClosed

from routing.mock import tokens
from tests.acceptance.client import ORDER, STAGES, Client

ALL = list(enumerate(STAGES, start=1))
connect = functools.partial(websocket.connect, open_timeout=30)


async def test_a_market_order_is_confirmed_and_every_stage_is_seen(client: Client) -> None:
    started = time.monotonic()
    order = await client.place(clientOrderId="the-first")
    watched = await client.watch(order["orderId"])
    seconds = time.monotonic() - started

    assert watched.stages == ALL and watched.code == 1000
    if client.engine.mode == "mock":
        assert 2 <= seconds < 20, "2 to 3 s of waits, and what a busy machine adds"
    assert order["status"] == "pending" and order["clientOrderId"] == "the-first"
    assert order["ws"] == f"{client.engine.ws_url}/ws/{order['orderId']}"

    row = await client.get(f"/api/orders/{order['orderId']}")
    assert (row["status"], row["seq"], row["attempts"], row["failure"]) == ("confirmed", 5, 1, None)
    fill = watched.events[-1]["data"]
    assert {row[name] == fill[name] for name in ("venue", "executedPrice", "amountOut", "fee", "txHash")} == {True}
    assert Decimal(row["amountOut"]) == pytest.approx(
        Decimal(row["executedPrice"]) * Decimal("1.5"), rel=Decimal("1e-6")
    )
    stored = (await client.get(f"/api/orders/{order['orderId']}/events"))["events"]
    assert stored == watched.facts
    assert all(before["at"] <= after["at"] for before, after in pairwise(stored))

    quotes = (await client.get(f"/api/orders/{order['orderId']}/quotes"))["attempts"]
    assert [(one["attempt"], one["winner"]) for one in quotes] == [(1, row["venue"])]
    assert {quote["venue"] for quote in quotes[0]["quotes"]} == {"RAYDIUM", "METEORA"} and quotes[0]["reason"]
    best = max(quotes[0]["quotes"], key=lambda quote: Decimal(quote["amountOut"]))
    assert best["venue"] == row["venue"]

    chain = await client.chain(order["orderId"])
    assert (chain["landed"], [one["signature"] for one in chain["submissions"]]) == (1, [row["txHash"]])


async def test_a_client_may_come_before_during_and_after_the_end(client: Client) -> None:
    order = await client.place()
    before = asyncio.create_task(client.watch(order["orderId"]))
    await asyncio.sleep(1)
    during = asyncio.create_task(client.watch(order["orderId"]))
    first, second = await before, await during
    after = await client.watch(order["orderId"])

    assert first.stages == second.stages == after.stages == ALL
    assert [one.code for one in (first, second, after)] == [1000] * 3
    assert len(after.messages) == 1 and after.snapshot["status"] == "confirmed"
    assert first.facts == second.facts == after.facts


async def test_a_client_that_comes_back_gets_what_it_missed(client: Client) -> None:
    order_id = (await client.place())["orderId"]
    seen: list[tuple[int, str]] = []
    while not seen or seen[-1][0] < 4:  # Every connection is dropped after one message.
        after = seen[-1][0] if seen else 0
        async with connect(f"{client.engine.ws_url}/ws/{order_id}?after={after}") as socket:
            message = json.loads(await socket.recv())
            assert message["type"] == "snapshot"
            seen += [(event["seq"], event["status"]) for event in message["events"]]
    last = await client.watch(order_id, after=seen[-1][0])

    assert [*seen, *last.stages] == ALL and last.code == 1000
    for after in (0, 1, 4, 5, 6, 2**31):
        again = await client.watch(order_id, after=after)
        assert again.stages == [stage for stage in ALL if stage[0] > after]
        assert (again.snapshot["status"], again.code, len(again.messages)) == ("confirmed", 1000, 1)


@pytest.mark.parametrize("after", ["", "-1", "x", "1.5", "٣", "0" * 5000])
async def test_an_after_that_is_no_number_means_from_the_start(client: Client, after: str) -> None:
    async with connect(f"{client.engine.ws_url}/ws/{(await client.place())['orderId']}?after={after}") as socket:
        assert json.loads(await socket.recv())["events"][0]["seq"] == 1


async def test_two_hundred_orders_are_each_watched_from_their_post_to_their_end(client: Client) -> None:
    """Each client connects right after its POST, and has every event once and in order."""

    async def one() -> list[tuple[int, str]]:
        order = await client.place(slippageBps=5000)  # On a chain all of them move the one pool's price.
        watched = await client.watch(order["orderId"])
        assert watched.code == 1000
        return watched.stages

    assert await asyncio.gather(*(one() for _ in range(200))) == [ALL] * 200


async def test_the_account_s_feed_has_every_order(client: Client) -> None:
    seen: dict[str, list[tuple[int, str]]] = {}
    async with connect(f"{client.engine.ws_url}/ws/orders") as socket:
        assert json.loads(await socket.recv())["type"] == "snapshot"
        placed = await asyncio.gather(*(client.place() for _ in range(20)))
        wanted = {order["orderId"] for order in placed}
        async with asyncio.timeout(60):
            while sum(len(seen.get(order_id, ())) for order_id in wanted) < 5 * 20:
                message = json.loads(await socket.recv())
                seen.setdefault(message["orderId"], []).append((message["seq"], message["status"]))

    assert {order_id: seen[order_id] for order_id in wanted} == dict.fromkeys(wanted, ALL)


async def test_a_batch_is_answered_in_order_each_on_its_own(client: Client) -> None:
    orders: list[Any] = [
        ORDER,
        {**ORDER, "amount": "-1"},
        {**ORDER, "tokenIn": "DOGE"},
        None,
        {**ORDER, "clientOrderId": "in-batch"},
        {**ORDER, "clientOrderId": "in-batch"},
        {**ORDER, "clientOrderId": "in-batch", "amount": "2"},
        "text",
    ]
    results = (await client.http.post("/api/orders/batch", json={"orders": orders})).json()["results"]

    codes = [result.get("error", {}).get("code") for result in results]
    bad, conflict = "VALIDATION_FAILED", "IDEMPOTENCY_CONFLICT"
    assert codes == [None, bad, "UNKNOWN_TOKEN", bad, None, None, conflict, bad]
    assert results[4]["orderId"] == results[5]["orderId"] != results[0]["orderId"]
    assert (await client.watch(results[0]["orderId"])).stages == ALL


async def test_a_batch_with_an_idempotency_key_is_taken_once(client: Client) -> None:
    batch, headers = {"orders": [ORDER, ORDER]}, {"Idempotency-Key": "batch-1"}
    first, again = [(await client.http.post("/api/orders/batch", json=batch, headers=headers)).json() for _ in (1, 2)]

    assert [one["orderId"] for one in first["results"]] == [one["orderId"] for one in again["results"]]
    assert len({one["orderId"] for one in first["results"]}) == 2


async def test_one_key_sent_ten_times_at_once_is_one_order(client: Client) -> None:
    headers = {"Idempotency-Key": "ten-at-once"}
    answers = await asyncio.gather(*(client.execute(headers) for _ in range(10)))

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["orderId"] for answer in answers}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    other = await client.execute(headers, amount="2")
    assert (other.status_code, other.json()["error"]["code"]) == (409, "IDEMPOTENCY_CONFLICT")
    order_id = answers[0].json()["orderId"]
    assert (await client.watch(order_id)).stages == ALL
    later = await client.execute(headers)
    assert (later.json()["orderId"], later.json()["status"]) == (order_id, "confirmed")
    assert (await client.chain(order_id))["landed"] == 1


async def test_a_repeated_request_gets_its_order_after_its_expiry_as_well(client: Client) -> None:
    moment = datetime.now(UTC) + timedelta(seconds=4)  # Time enough to send it twice.
    asked = {"type": "limit", "limitPrice": "100000", "allowFarPrice": True, "expiresAt": moment.isoformat()}
    by_header, by_name = {"Idempotency-Key": "expiring"}, {"clientOrderId": "expiring", **asked}
    firsts = [await client.execute(by_header, **asked), await client.execute(**by_name)]
    ids = [first.json()["orderId"] for first in firsts]
    for order_id in ids:
        assert (await client.watch(order_id)).events[-1]["status"] == "expired"

    agains = [await client.execute(by_header, **asked), await client.execute(**by_name)]
    batch = await client.http.post("/api/orders/batch", json={"orders": [{**ORDER, **by_name}, {**ORDER, **asked}]})
    others = [await client.execute(by_header, **asked, amount="2"), await client.execute(**by_name, amount="2")]
    strange = await client.execute({"Idempotency-Key": "never-sent"}, **{**by_name, "clientOrderId": "never-sent"})

    for again, order_id in zip(agains, ids, strict=True):
        assert again.status_code == 200 and again.headers["idempotency-replayed"] == "true"
        assert (again.json()["orderId"], again.json()["status"]) == (order_id, "expired")
    [taken, refused_] = batch.json()["results"]
    assert taken["orderId"] == ids[1] and list(refused_["error"]["details"]) == ["expiresAt"]
    assert {other.json()["error"]["code"] for other in others} == {"IDEMPOTENCY_CONFLICT"}
    assert (strange.status_code, list(strange.json()["error"]["details"])) == (400, ["expiresAt"])
    assert (await client.get("/api/orders?clientOrderId=never-sent"))["orders"] == []


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb"])
async def test_a_key_that_is_none_is_refused(client: Client, key: str) -> None:
    answer = await client.execute({"Idempotency-Key": key})

    assert (answer.status_code, list(answer.json()["error"]["details"])) == (400, ["Idempotency-Key"])


async def rests(client: Client, **fields: Any) -> str:
    """A limit order far from the market."""
    fields = {"type": "limit", "limitPrice": "100000", "allowFarPrice": True, **fields}
    return str((await client.place(**fields))["orderId"])


async def test_an_order_that_rests_is_cancelled_once_and_for_all(client: Client) -> None:
    order_id = await rests(client)
    watching = asyncio.create_task(client.watch(order_id))
    await asyncio.sleep(0.2)
    first = await client.http.delete(f"/api/orders/{order_id}")
    again = await client.http.delete(f"/api/orders/{order_id}")

    assert first.status_code == again.status_code == 200 and first.json() == again.json()
    assert first.json()["status"] == "cancelled"
    watched = await watching
    assert watched.stages == [(1, "pending"), (2, "cancelled")] and watched.code == 1000
    assert watched.events[0]["data"] == {"resting": True}


async def test_cancels_at_the_same_moment_are_one_cancel(client: Client) -> None:
    order_id = await rests(client)
    answers = await asyncio.gather(*(client.http.delete(f"/api/orders/{order_id}") for _ in range(8)))

    assert {answer.status_code for answer in answers} == {200}
    assert [event["status"] for event in (await client.get(f"/api/orders/{order_id}/events"))["events"]] == [
        "pending",
        "cancelled",
    ]


async def test_it_is_too_late_to_cancel_what_is_being_executed_or_over(client: Client) -> None:
    order_id = (await client.place())["orderId"]
    async with asyncio.timeout(30):
        while (await client.get(f"/api/orders/{order_id}"))["status"] == "pending":
            await asyncio.sleep(0.02)
    during = await client.http.delete(f"/api/orders/{order_id}")
    await client.watch(order_id)
    after = await client.http.delete(f"/api/orders/{order_id}")

    assert (during.status_code, during.json()["error"]["code"]) == (409, "TOO_LATE")
    assert (after.status_code, after.json()["error"]["code"]) == (409, "ALREADY_FINAL")


async def test_an_order_that_rests_is_amended_and_others_are_not(client: Client) -> None:
    order_id = await rests(client)
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    wanted = {"amount": "2", "slippageBps": 7, "expiresAt": until}
    answer = await client.http.patch(f"/api/orders/{order_id}", json=wanted)

    order = answer.json()
    assert (order["limitPrice"], order["amount"], order["slippageBps"]) == ("100000", "2", 7)
    assert order["expiresAt"] and order["seq"] == 2 and order["status"] == "pending"
    bad = await client.http.patch(f"/api/orders/{order_id}", json={"amount": "0"})
    assert (bad.status_code, list(bad.json()["error"]["details"])) == (400, ["amount"])
    await client.http.delete(f"/api/orders/{order_id}")
    final = await client.http.patch(f"/api/orders/{order_id}", json={"amount": "1"})
    assert (final.status_code, final.json()["error"]["code"]) == (409, "ALREADY_FINAL")


async def test_orders_are_listed_by_what_is_asked_for_page_by_page(client: Client) -> None:
    first = await rests(client, tokenIn="JUP", clientOrderId="listed")
    others = [await rests(client, tokenIn="JUP") for _ in range(4)]
    mine = [*reversed(others), first]

    async def listed(query: str) -> tuple[list[str], str | None]:
        page = await client.get(f"/api/orders?{query}")
        return [order["orderId"] for order in page["orders"]], page["next"]

    assert await listed("pair=JUP-USDC") == (mine, None)
    assert await listed("pair=JUP-USDC&type=limit&status=pending") == (mine, None)
    assert await listed("pair=JUP-USDC&type=market") == ([], None)
    assert await listed("pair=JUP-USDC&status=confirmed") == ([], None)
    assert await listed("clientOrderId=listed") == ([first], None)
    pages, cursor = [], ""
    while cursor is not None:
        page, cursor = await listed(f"pair=JUP-USDC&limit=2{f'&cursor={cursor}' if cursor else ''}")
        pages.append(page)
    assert pages == [mine[:2], mine[2:4], mine[4:]]
    await client.http.delete(f"/api/orders/{first}")
    assert await listed("pair=JUP-USDC&status=cancelled") == ([first], None)
    assert await listed("pair=JUP-USDC&status=pending") == (mine[:4], None)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=x", "status"),
        ("status=", "status"),
        ("type=stop", "type"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=-1", "limit"),
        ("limit=1e2", "limit"),
        ("limit=99999999999999999999", "limit"),
        ("limit=٣", "limit"),
        ("cursor=x", "cursor"),
        ("pair=a%00b", "pair"),
        ("clientOrderId=%00", "clientOrderId"),
        ("clientOrderId=", "clientOrderId"),
        ("pair=", "pair"),
        ("cursor=", "cursor"),
        ("pair=SOL-NOPE", "pair"),
        ("pair=SOL", "pair"),
        ("state=pending", "state"),
        ("clientorderid=x", "clientorderid"),
        ("limit=1&limit=2", "limit"),
        ("status=pending&status=failed", "status"),
        ("=x", "query"),
    ],
)
async def test_a_question_that_makes_no_sense_is_refused(client: Client, query: str, field: str) -> None:
    answer = await client.http.get(f"/api/orders?{query}")

    assert (answer.status_code, list(answer.json()["error"]["details"])) == (400, [field])


async def test_a_pair_goes_by_the_same_names_everywhere(client: Client) -> None:
    order_id = await rests(client)
    for name in ("SOL-USDC", "sol-usdc", f"{tokens.SOL.mint}-{tokens.USDC.mint}"):
        listed = (await client.get(f"/api/orders?pair={name}&limit=200"))["orders"]
        assert order_id in [order["orderId"] for order in listed]
        assert (await client.get(f"/api/quotes/{name}"))["pair"] == "SOL-USDC"


@pytest.mark.parametrize(
    ("method", "path", "field"),
    [
        ("POST", "/api/orders/execute?dryRun=true", "dryRun"),
        ("POST", "/api/orders/batch?x=", "x"),
        ("GET", "/api/pairs?pair=SOL-USDC", "pair"),
        ("GET", "/api/orders/00000000-0000-7000-8000-000000000000/events?since=1", "since"),
        ("GET", "/api/orders/00000000-0000-7000-8000-000000000000/events?after=", "after"),
        ("DELETE", "/api/orders/00000000-0000-7000-8000-000000000000?force=1", "force"),
        ("GET", "/api/preview/SOL-USDC?amount=1_000", "amount"),
        ("GET", "/api/preview/SOL-USDC?amount=%EF%BC%91", "amount"),
        ("GET", "/api/preview/SOL-USDC?amount=%2B1", "amount"),
        ("GET", "/api/preview/SOL-USDC?amount=1&amount=2", "amount"),
        ("GET", "/api/preview/SOL-USDC?amount=1&slippage=5", "slippage"),
    ],
)
async def test_a_parameter_that_is_not_known_is_named(client: Client, method: str, path: str, field: str) -> None:
    answer = await client.http.request(method, path, json=ORDER if method == "POST" else None)

    assert (answer.status_code, list(answer.json()["error"]["details"])) == (400, [field]), answer.text


async def test_head_knows_the_parameters_of_get(client: Client) -> None:
    assert (await client.http.head("/api/orders?limit=1&status=pending")).status_code == 200
    assert (await client.http.head("/api/orders?limit=")).status_code == 400


@pytest.mark.parametrize("name", ["Idempotency-Key", "Authorization", "X-Request-Id"])
async def test_a_header_that_stands_twice_is_named(client: Client, name: str) -> None:
    twice = [(name, "Bearer a"), (name, "Bearer b")]
    for answer in (
        await client.http.post("/api/orders/execute", json=ORDER, headers=twice),
        await client.http.get("/api/orders", headers=twice),
    ):
        assert (answer.status_code, list(answer.json()["error"]["details"])) == (400, [name]), answer.text


async def test_a_batch_s_key_is_no_single_order_s(client: Client) -> None:
    batch = await client.http.post("/api/orders/batch", json={"orders": [ORDER]}, headers={"Idempotency-Key": "desk"})
    single = await client.execute({"Idempotency-Key": "desk#0"})
    again = await client.execute({"Idempotency-Key": "desk#0"})

    for answer in (single, again):
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "IDEMPOTENCY_CONFLICT")
    repeated = await client.http.post(
        "/api/orders/batch", json={"orders": [ORDER]}, headers={"Idempotency-Key": "desk"}
    )
    assert repeated.json()["results"][0]["orderId"] == batch.json()["results"][0]["orderId"]


async def test_a_single_order_s_key_may_look_like_a_batch_s(client: Client) -> None:
    key = {"Idempotency-Key": "order#17"}
    first, again = await client.execute(key), await client.execute(key)
    assert first.status_code == 200 and "idempotency-replayed" not in first.headers
    assert again.json()["orderId"] == first.json()["orderId"] and again.headers["idempotency-replayed"] == "true"
    batch = await client.http.post(
        "/api/orders/batch", json={"orders": [ORDER] * 18}, headers={"Idempotency-Key": "order"}
    )
    *others, last = batch.json()["results"]
    assert last["error"]["code"] == "IDEMPOTENCY_CONFLICT" and not any("error" in each for each in others)


@pytest.mark.parametrize(
    "raw",
    [
        '"slippageBps": 1e4000000',
        '"amount": 1e99999999999999999999',
        '"slippageBps": 1e-99999999999999999999',
        '"limitPrice": 1e999999999',
    ],
)
async def test_a_number_beyond_all_bounds_is_refused_and_costs_a_batch_nothing(client: Client, raw: str) -> None:
    good = json.dumps(ORDER)
    bad = good[:-1] + f", {raw}" + "}" if "amount" not in raw else good.replace('"amount": "1.5"', raw)
    headers = {"Content-Type": "application/json"}
    alone = await client.http.post("/api/orders/execute", content=bad, headers=headers)
    assert (alone.status_code, alone.json()["error"]["code"]) == (400, "VALIDATION_FAILED"), alone.text
    batch = await client.http.post(
        "/api/orders/batch", content=f'{{"orders": [{good}, {bad}, {good}]}}', headers=headers
    )
    if batch.status_code == 200:
        first, refused, last = batch.json()["results"]
        assert "error" in refused and "orderId" in first and "orderId" in last
    else:
        assert batch.status_code == 400, batch.text


async def test_every_request_has_an_id(client: Client) -> None:
    mine = {"X-Request-Id": "my-id/1"}
    for answer in (
        await client.execute(mine, amount="-1"),
        await client.http.get("/api/orders/x", headers=mine),
        await client.http.get("/nowhere", headers=mine),
    ):
        assert answer.headers["x-request-id"] == answer.json()["error"]["requestId"] == "my-id/1"
    for sent in ("", "a b", "x" * 129, "é"):
        answer = await client.execute({"X-Request-Id": sent.encode("latin-1")}, amount="-1")  # type: ignore[dict-item]
        made = answer.headers["x-request-id"]
        assert made != sent and re.fullmatch("[0-9a-f]{16}", made)
        assert answer.json()["error"]["requestId"] == made


async def test_a_request_s_id_goes_along_to_the_events_and_into_the_worker_s_log(client: Client) -> None:
    sent = {"X-Request-Id": "desk-7/42"}
    # On a chain the wallet has none of it, which another try does not change.
    tries = 3 if client.engine.mode == "mock" else 1
    answer = await client.execute(sent, tokenIn="NEW", clientOrderId="traced")  # Not listed: it fails.
    order_id = answer.json()["orderId"]
    watched = await client.watch(order_id)
    batch = await client.http.post("/api/orders/batch", json={"orders": [ORDER]}, headers=sent)
    in_batch = await client.get(f"/api/orders/{batch.json()['results'][0]['orderId']}/events")

    assert watched.events[-1]["status"] == "failed" and watched.events[0]["data"] == {"requestId": "desk-7/42"}
    assert (await client.get(f"/api/orders/{order_id}/events"))["events"] == watched.facts
    assert in_batch["events"][0]["data"] == {"requestId": "desk-7/42"}
    async with asyncio.timeout(30):  # What a worker says comes into its file by way of supervisord.
        while len(said := [line for line in client.engine.log("orders-1").splitlines() if order_id in line]) < tries:
            await asyncio.sleep(0.1)
    lines = [json.loads(line) for line in said]
    assert {line["request_id"] for line in lines} == {"desk-7/42"}
    assert [line["event"].rpartition(": ")[0] for line in lines] == [
        *[f"order {order_id} is tried again"] * (tries - 1),
        f"order {order_id} failed",
    ]
    assert [(line["attempt"], line["order_id"]) for line in lines] == [(n + 1, order_id) for n in range(tries)]
    assert all(line["epoch"] == line["attempt"] and line["executor"] for line in lines)


async def test_what_is_not_asked_rightly_is_answered_rightly(client: Client) -> None:
    http, paths = client.http, ("/api/orders/execute", "/api/orders/batch")
    json_type = {"Content-Type": "application/json"}
    for path in paths:
        for method in ("GET", "PUT", "PATCH", "DELETE"):
            refused(await http.request(method, path), 405, "METHOD_NOT_ALLOWED")
        for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""):
            refused(await http.post(path, content=b"{}", headers={"Content-Type": kind}), 415, "UNSUPPORTED_MEDIA_TYPE")
        packed = {**json_type, "Content-Encoding": "gzip"}
        refused(await http.post(path, content=b"{}", headers=packed), 415, "UNSUPPORTED_MEDIA_TYPE")
        refused(await http.post(path, content=b" " * 300_000, headers=json_type), 413, "BODY_TOO_LARGE")
        refused(await http.post(path, content=b"{", headers=json_type), 400, "INVALID_JSON")
    charset = {"Content-Type": "Application/JSON; charset=utf-8"}
    taken = await http.post(paths[0], content=json.dumps(ORDER), headers=charset)
    assert taken.status_code == 200
    refused(await http.put("/api/orders"), 405, "METHOD_NOT_ALLOWED")
    refused(await http.get("/api/orders/not-an-id"), 404, "NOT_FOUND")
    refused(await http.get("/api/dead-letters"), 403, "FORBIDDEN")
    refused(await http.get("/api/orders", headers={"Authorization": "Bearer nonsense"}), 401, "UNAUTHENTICATED")
    refused(await client.execute({"Authorization": "Bearer nonsense"}), 401, "UNAUTHENTICATED")


def refused(answer: httpx.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/json"


async def closed_with(client: Client, path: str, headers: dict[str, str] | None = None) -> int | None:
    async with connect(client.engine.ws_url + path, additional_headers=headers, proxy=None) as socket:
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                await socket.recv()
    return closed.value.rcvd and closed.value.rcvd.code


async def test_sockets_that_are_not_opened_rightly(client: Client) -> None:
    order_id = await rests(client)
    foreign = {"Origin": "https://evil.example"}

    assert await closed_with(client, f"/ws/{order_id}", {"Authorization": "Bearer nonsense"}) == 4401
    assert await closed_with(client, f"/ws/{order_id}?ticket=nonsense") == 4401
    assert await closed_with(client, f"/ws/{order_id}", foreign) == 4401
    assert await closed_with(client, "/ws/nonsense") == 4404
    assert await closed_with(client, "/ws/00000000-0000-7000-8000-000000000000") == 4404


async def test_a_ticket_opens_one_socket(client: Client) -> None:
    order_id = (await client.place())["orderId"]
    ticket = (await client.http.post("/api/ws-ticket", headers=client.staff)).json()["ticket"]
    path = f"/ws/{order_id}?ticket={ticket}"

    assert await closed_with(client, path, {"Origin": "https://evil.example"}) == 1000
    assert await closed_with(client, path) == 4401


async def test_a_socket_that_idles_stays_open(client: Client) -> None:
    """redis-py ends a read after five seconds by default, and the channel layer closed with it."""
    order_id = await rests(client)
    async with (
        connect(f"{client.engine.ws_url}/ws/{order_id}") as socket,
        connect(f"{client.engine.ws_url}/ws/orders") as feed,
    ):
        assert json.loads(await socket.recv())["type"] == json.loads(await feed.recv())["type"] == "snapshot"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(8):
                await socket.recv()
        delays = []
        for amount in ("2", "3", "4", "5"):
            changed = time.monotonic()
            await client.http.patch(f"/api/orders/{order_id}", json={"amount": amount})
            assert json.loads(await socket.recv())["data"]["amended"] == {"amount": amount}
            delays.append(time.monotonic() - changed)
        # Through Redis: a socket that has just found something in the database looks there again after three seconds. On a
        # busy machine it need not be each of them.
        assert min(delays[1:]) < 1


async def test_the_page_of_the_api_and_its_document(client: Client) -> None:
    assert "swagger" in (await client.http.get("/api/docs")).text.lower()
    assert (await client.http.get("/api/schema")).status_code == 200
    assert (await client.get("/healthz"))["status"] == "ok"
    assert (await client.get("/readyz"))["dependencies"]["postgres"] == "ok"


async def test_the_first_version_is_what_stands_below_api(client: Client) -> None:
    placed = await client.http.post("/api/v1/orders/execute", json={**ORDER, "clientOrderId": "versioned"})
    order_id = placed.json()["orderId"]

    assert (await client.get(f"/api/v1/orders/{order_id}"))["clientOrderId"] == "versioned"
    assert (await client.get(f"/api/orders/{order_id}"))["orderId"] == order_id
    batch = await client.http.post("/api/v1/orders/batch", json={"orders": [ORDER]})
    assert batch.status_code == 200 and batch.json()["results"][0]["orderId"]
    for path in ("/api/v2/orders", "/api/v1/api/v1/orders", "/v1/orders"):
        assert (await client.http.get(path)).status_code == 404


async def test_an_order_is_tried_and_not_placed(client: Client) -> None:
    async def tried(**fields: Any) -> httpx.Response:
        return await client.http.post("/api/orders/test", json={**ORDER, **fields})

    market = (await tried(clientOrderId="only-tried")).json()
    assert market["resting"] is False and market["preview"]["venue"] in ("RAYDIUM", "METEORA")
    assert Decimal(market["preview"]["expectedOut"]) > Decimal(market["preview"]["minOut"]) > 0
    limit = (await tried(type="limit", limitPrice="180")).json()
    assert limit["resting"] is True and Decimal(limit["preview"]["minOut"]) >= Decimal("1.5") * 180
    trailing = await tried(type="limit", trailBps=500)
    assert trailing.status_code == 200 and trailing.json()["resting"] is True, "it has no price yet that could be far"
    stop = await tried(type="limit", triggerCondition="lte", limitPrice="90", worstPrice="80")
    assert Decimal(stop.json()["preview"]["minOut"]) >= Decimal("1.5") * 80
    assert (await client.get("/api/orders?clientOrderId=only-tried"))["orders"] == []

    exact = (await tried(amount=None, amountOut="150", amountInMax="3")).json()["preview"]
    assert (exact["amount"], exact["exactOut"], exact["expectedOut"], exact["minOut"]) == (None, "150", "150", "150")
    assert 0 < Decimal(exact["expectedIn"]) < Decimal(exact["maxIn"]) <= 3
    assert all(quote["amountIn"] for quote in exact["quotes"])

    for fields, status, code in (
        ({"amount": "0"}, 400, "VALIDATION_FAILED"),
        ({"amountOut": "1"}, 400, "VALIDATION_FAILED"),
        ({"amount": None}, 400, "VALIDATION_FAILED"),
        ({"tokenOut": "NOPE"}, 422, "UNKNOWN_TOKEN"),
        ({"type": "limit", "limitPrice": "100000"}, 422, "PRICE_NOT_SENSIBLE"),
        ({"expiresAt": "2020-01-01T00:00:00Z"}, 400, "VALIDATION_FAILED"),
    ):
        refused = await tried(**fields)
        assert (refused.status_code, refused.json()["error"]["code"]) == (status, code)
        assert (await client.execute(**fields)).json()["error"]["code"] == code


async def test_an_exact_output_is_received_and_found_again_by_its_key(client: Client) -> None:
    body = {"tokenIn": "USDC", "tokenOut": "SOL", "amount": None, "amountOut": "0.5", "clientOrderId": uuid4().hex}
    order_id = (await client.place(**body))["orderId"]
    assert (await client.place(**body | {"amountOut": 0.50}))["orderId"] == order_id
    other = await client.execute(**body | {"amountOut": "0.6"})
    assert (other.status_code, other.json()["error"]["code"]) == (409, "IDEMPOTENCY_CONFLICT")
    watched = await client.watch(order_id)
    assert watched.events[-1]["status"] == "confirmed"
    order = await client.get(f"/api/orders/{order_id}")
    assert (order["amount"], order["exactOut"], order["amountOut"]) == (None, "0.5", "0.5")
    assert Decimal(order["executedPrice"]) == pytest.approx(Decimal("0.5") / Decimal(order["amountIn"]))
    [fill] = [row for row in (await client.get("/api/fills"))["fills"] if row["orderId"] == order_id]
    assert (fill["amountIn"], fill["amountOut"]) == (order["amountIn"], "0.5")
