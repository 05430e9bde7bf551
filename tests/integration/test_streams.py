"""Streams: one wire format with Channels, and complete whatever Redis loses."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import msgpack
import msgspec
import pytest
import redis
from channels.layers import get_channel_layer
from django.conf import settings

from accounts.auth import Caller, KeyRing
from accounts.limits import Limiter
from orders.events import CommittedEvent, account_group, order_group
from orders.http.sockets import Sockets
from orders.ledger import statements
from orders.ledger.statements import Change, Claimed, Connection
from orders.lifecycle import Event, Status
from orders.publisher import MAX_PUBLISHED_UNASKED, Publisher
from orders.signatures import signature
from orders.streams import feed, following, replay
from orders.streams.connection import MAX_INBOX, Socket
from orders.streams.snapshots import Reader
from orders.streams.subscriptions import Subscriptions, checked
from runtime.groups import group_channel, group_message
from tests.factories import FILL, accepted, change, claimed, executor, new_order, swap

ENTRY = ("01900000-0000-7000-8000-000000000000", 2, '{"type":"event"}')


async def test_a_group_s_message_is_what_group_send_sends() -> None:
    """Byte for byte, on the same Redis channel."""
    layer = get_channel_layer()
    group = order_group(ENTRY[0])
    client = redis.Redis.from_url(settings.REDIS_URL)
    with client.pubsub() as received:
        received.subscribe(group_channel(group))
        assert (received.get_message(timeout=30) or {})["type"] == "subscribe"
        signed = {"signature": signature(group, [ENTRY])}
        await layer.group_send(group, {"type": "group.texts", "group": group, "news": [ENTRY], **signed})
        message = await asyncio.to_thread(received.get_message, timeout=30)
    client.close()
    await layer.flush()

    assert message is not None and message["data"] == group_message(group, [ENTRY], signature(group, [ENTRY]))


async def test_a_channel_of_the_layer_receives_what_the_publisher_sends() -> None:
    layer = get_channel_layer()
    order_id, at = UUID(ENTRY[0]), datetime.now(UTC)
    channel = await layer.new_channel()
    await layer.group_add(order_group(order_id), channel)
    await layer.group_add(account_group(7), channel)
    publisher = Publisher(settings.REDIS_URL)
    events = CommittedEvent(order_id, 7, 2, Status.ROUTING, at, {"attempt": 1})

    publisher.publish([events])
    async with asyncio.timeout(30):
        messages = [await layer.receive(channel) for _ in range(2)]
    publisher.close()
    await layer.flush()

    assert {message["group"] for message in messages} == {order_group(order_id), account_group(7)}
    assert all(message["type"] == "group.texts" for message in messages)
    assert [list(message["news"][0]) for message in messages] == [[str(order_id), 2, events.text()]] * 2


def test_events_go_out_only_where_somebody_subscribes() -> None:
    """A pattern receives all that is published and does not count as a subscriber. For few groups nobody is asked."""
    watched, *unwatched = (UUID(int=UUID(ENTRY[0]).int + n) for n in range(1, MAX_PUBLISHED_UNASKED + 3))
    at = datetime.now(UTC)
    client = redis.Redis.from_url(settings.REDIS_URL)
    publisher = Publisher(settings.REDIS_URL)
    with client.pubsub(ignore_subscribe_messages=True) as everything, client.pubsub() as watcher:
        everything.psubscribe(group_channel("order.01900000-*"))
        watcher.subscribe(group_channel(order_group(watched)))
        assert (watcher.get_message(timeout=30) or {})["type"] == "subscribe"
        publisher.publish(
            [CommittedEvent(order_id, 7, 2, Status.ROUTING, at, {}) for order_id in (*unwatched, watched)]
        )
        publisher.publish([CommittedEvent(watched, 7, 3, Status.BUILDING, at, {})])
        received = []
        while not any(b"building" in message["data"] for message in received):
            message = everything.get_message(timeout=30)
            if message is not None:
                received.append(message)
    publisher.close()
    client.close()

    assert {message["channel"].decode() for message in received} == {group_channel(order_group(watched))}


class Browser:
    """The other end of a socket, at the server's own interface."""

    def __init__(self) -> None:
        self.sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._said: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._said.put_nowait({"type": "websocket.connect"})

    async def receive(self) -> dict[str, Any]:
        return await self._said.get()

    async def send(self, message: dict[str, Any]) -> None:
        await self.sent.put(message)

    async def receives(self, *, within_s: float = 20) -> dict[str, Any]:
        """The next message, or how the socket was closed."""
        async with asyncio.timeout(within_s):
            while True:
                message = await self.sent.get()
                if message["type"] == "websocket.send":
                    return dict(json.loads(message["text"]))
                if message["type"] == "websocket.close":
                    return {"closed": message["code"]}


class Everyone(KeyRing):
    """Whoever comes is the account."""

    def __init__(self, account_id: int) -> None:
        super().__init__(local_mode=True)
        self._caller = Caller(account_id, frozenset({"read"}))

    async def caller(self, authorization: str | None) -> Caller:
        return self._caller


class Stage:
    """Subscriptions, a reader, sockets, and what publishes to them."""

    def __init__(self, account_id: int) -> None:
        self.subscriptions, self.reader = Subscriptions(), Reader()
        self.publisher = Publisher(settings.REDIS_URL)
        self.sockets = Sockets(
            lambda: self.subscriptions,
            lambda: self.reader,
            Everyone(account_id),
            max_open=100,
            max_account=100,
            prices=lambda: pytest.fail("no prices here"),
            limiter=Limiter(settings.REDIS_URL, account=None, address=None),
        )
        self._tasks: list[asyncio.Task[None]] = []

    def open_feed(self, query: str = "") -> Browser:
        browser = Browser()
        scope = {
            "type": "websocket",
            "extensions": {"websocket.http.response": {}},
            "headers": [(b"host", b"127.0.0.1")],
            "client": ("127.0.0.1", 1),
            "query_string": query.encode(),
        }
        self._tasks.append(asyncio.create_task(self.sockets.account(scope, browser.receive, browser.send)))
        return browser

    def open(self, order_id: UUID, query: str = "") -> Browser:
        browser = Browser()
        scope = {
            "headers": [(b"host", b"127.0.0.1")],
            "client": ("127.0.0.1", 1),
            "query_string": query.encode(),
            "url_route": {"kwargs": {"order_id": str(order_id)}},
        }
        self._tasks.append(asyncio.create_task(self.sockets.order(scope, browser.receive, browser.send)))
        return browser

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.publisher.close()
        await self.reader.close()
        if self.subscriptions._dispatcher is not None:
            self.subscriptions._dispatcher.cancel()
        await get_channel_layer().flush()


@pytest.fixture
async def stage(database: Connection, account: int) -> AsyncIterator[Stage]:
    made = Stage(account)
    yield made
    await made.close()


@pytest.fixture
def taken(database: Connection, account: int) -> Claimed:
    return claimed(database, accepted(database, new_order(account)))


def life(taken: Claimed) -> list[Change]:
    """What follows the claim."""
    intent = swap(taken.id)
    resolved = (intent.signature, "landed")
    return [
        change(taken, Event.BUILD),
        change(taken, Event.SUBMIT, was=Status.BUILDING, seq=3, intent=intent),
        change(taken, Event.CONFIRM, was=Status.SUBMITTED, seq=4, data=FILL, resolved=resolved),
    ]


def write(database: Connection, *changes: Change) -> list[CommittedEvent]:
    return [
        CommittedEvent.of(one, at) for one, at in zip(changes, statements.record(database, changes), strict=True) if at
    ]


async def test_a_gap_is_read_from_the_database_before_what_follows_it(
    database: Connection, stage: Stage, taken: Claimed
) -> None:
    """Redis loses the second of three messages."""
    browser = stage.open(taken.id)
    assert (await browser.receives())["seq"] == 2
    changes = life(taken)
    for one, lost in zip(changes, (False, True, False), strict=True):
        events = write(database, one)
        if not lost:
            stage.publisher.publish(events)

    received = [await browser.receives() for _ in range(4)]

    assert [message.get("seq") for message in received] == [3, 4, 5, None]
    assert received[-1] == {"closed": 1000}


async def test_all_that_redis_lost_is_found_within_a_re_read(
    database: Connection, stage: Stage, taken: Claimed
) -> None:
    browser = stage.open(taken.id)
    await browser.receives()
    for one in life(taken):
        write(database, one)

    received = [await browser.receives(within_s=following.REREAD_S + 10) for _ in range(4)]

    assert [message.get("seq") for message in received] == [3, 4, 5, None]
    assert stage.sockets.repaired >= 3


async def test_what_comes_twice_or_late_is_sent_once(database: Connection, stage: Stage, taken: Claimed) -> None:
    browser = stage.open(taken.id)
    await browser.receives()
    published: list[CommittedEvent] = []
    for one in life(taken)[:2]:
        published += write(database, one)
        for events in (published[-1:], published, published[:1]):
            stage.publisher.publish(events)
    first, second = await browser.receives(), await browser.receives()
    stage.publisher.publish(published)
    stage.publisher.publish(write(database, life(taken)[2]))

    assert [first["seq"], second["seq"], (await browser.receives())["seq"]] == [3, 4, 5]
    assert await browser.receives() == {"closed": 1000}


async def test_a_stream_goes_on_after_what_the_client_has_seen(
    database: Connection, stage: Stage, taken: Claimed
) -> None:
    changes = life(taken)
    write(database, changes[0])
    browser = stage.open(taken.id, "after=2")
    snapshot = await browser.receives()
    assert (snapshot["type"], snapshot["seq"], [one["seq"] for one in snapshot["events"]]) == ("snapshot", 3, [3])

    stage.publisher.publish(write(database, changes[1]))
    assert (await browser.receives())["seq"] == 4


async def test_a_slow_client_s_inbox_is_bounded() -> None:
    browser = Browser()
    socket = Socket({}, browser.receive, browser.send, Caller(1, frozenset()))
    for seq in range(10 * MAX_INBOX):
        socket.offer([("id", seq, "text")])

    assert len(socket.inbox) == MAX_INBOX and socket.overflowed


async def test_an_overflowed_inbox_costs_no_event(database: Connection, stage: Stage, taken: Claimed) -> None:
    browser = stage.open(taken.id)
    await browser.receives()
    [socket] = stage.sockets.open
    changes = life(taken)
    events = write(database, changes[0])
    socket.offer([(str(taken.id), 1, "old")] * 2 * MAX_INBOX)
    assert socket.overflowed
    stage.publisher.publish(events)
    assert (await browser.receives())["seq"] == 3
    stage.publisher.publish(write(database, *changes[1:]))

    assert [(await browser.receives()).get("seq") for _ in range(3)] == [4, 5, None]


async def test_a_feed_of_more_orders_than_it_tracks_sends_each_event_once(
    database: Connection, stage: Stage, account: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "MAX_TRACKED", 1)
    monkeypatch.setattr(feed, "MARGIN", timedelta(0))
    monkeypatch.setattr(feed, "REREAD_S", 0.0)
    browser = stage.open_feed()
    assert (await browser.receives())["type"] == "snapshot"
    running: list[tuple[Claimed, list[Change]]] = []
    for _ in range(10):
        taken = claimed(database, accepted(database, new_order(account)))
        running.append((taken, life(taken)))
    for _ in range(10):  # These come and go meanwhile.
        taken = claimed(database, accepted(database, new_order(account)))
        stage.publisher.publish(write(database, *life(taken)))
    for step in range(3):
        for _, changes in running:
            stage.publisher.publish(write(database, changes[step]))

    assert list((await seqs_seen(browser, 20 * 5)).values()) == [[1, 2, 3, 4, 5]] * 20


def of_order(message: dict[str, Any]) -> tuple[str, int]:
    return message["orderId"], message["seq"]


async def test_a_feed_that_is_never_quiet_finds_what_redis_lost(
    database: Connection, stage: Stage, account: int, taken: Claimed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last event of an order has none behind it that would show the gap."""
    monkeypatch.setattr(feed, "REREAD_S", 1.0)
    browser = stage.open_feed()
    await browser.receives()
    write(database, *life(taken))

    lost, seen = [(str(taken.id), seq) for seq in (3, 4, 5)], []
    async with asyncio.timeout(30):
        while seen != lost:
            other = claimed(database, accepted(database, new_order(account)))
            stage.publisher.publish(write(database, *life(other)))
            await asyncio.sleep(0.2)
            while not browser.sent.empty():
                message = await browser.receives()
                seen += [of_order(message)] if message["orderId"] == str(taken.id) else []


async def test_a_feed_finds_what_redis_lost_of_an_order_that_has_rested_for_long(
    database: Connection, stage: Stage, account: int, taken: Claimed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was sent of it, or happened before anybody asked, is not sent again."""
    monkeypatch.setattr(feed, "SNAPSHOTS_IN_FEED", 2)
    monkeypatch.setattr(feed, "MARGIN", timedelta(0))
    for _ in range(3):
        accepted(database, new_order(account))
    browser = stage.open_feed()
    await browser.receives()
    write(database, *life(taken))

    assert [of_order(await browser.receives()) for _ in range(3)] == [(str(taken.id), seq) for seq in (3, 4, 5)]


async def test_a_feed_goes_on_where_the_client_was_cut_off(
    database: Connection, stage: Stage, account: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read in several parts, and not from before that."""
    monkeypatch.setattr(replay, "PAGE", 3)
    monkeypatch.setattr(feed, "READ_AT_ONCE", 2)
    monkeypatch.setattr(feed, "MARGIN", timedelta(0))
    before = claimed(database, accepted(database, new_order(account)))
    write(database, *life(before))
    running = [claimed(database, accepted(database, new_order(account))) for _ in range(8)]
    foreign = claimed(database, accepted(database, new_order(account + 1)))
    cut_off = datetime.now(UTC)
    write(database, *(one for taken in (*running, foreign) for one in life(taken)))

    browser = stage.open_feed(urlencode({"since": cut_off.isoformat()}))
    assert await browser.receives() == {"type": "snapshot", "orders": []}
    replayed = [await browser.receives() for _ in range(8 * 3)]
    assert [of_order(message) for message in replayed] == [(str(one.id), seq) for one in running for seq in (3, 4, 5)]
    assert replayed[2]["status"] == "confirmed" and replayed[2]["data"]["amountOut"]

    live = claimed(database, accepted(database, new_order(account)))
    stage.publisher.publish(write(database, *life(live)))
    assert [of_order(await browser.receives()) for _ in range(5)] == [(str(live.id), seq) for seq in range(1, 6)]


async def seqs_seen(browser: Browser, events: int) -> dict[str, list[int]]:
    """Of each order, until so many events have come."""
    seen: dict[str, list[int]] = {}
    for _ in range(events):
        order_id, seq = of_order(await browser.receives(within_s=30))
        seen.setdefault(order_id, []).append(seq)
    return seen


def executed(database: Connection, account: int, orders: int) -> list[CommittedEvent]:
    """Orders that come and are confirmed; what is published of them."""
    placed = [accepted(database, new_order(account)) for _ in range(orders)]
    taken = statements.claim(database, executor(database), [order.id for order in placed], {})
    at = datetime.now(UTC)
    begun = [
        CommittedEvent(one.id, account, seq, status, at, {})
        for one in taken
        for seq, status in ((1, Status.PENDING), (2, Status.ROUTING))
    ]
    return begun + write(database, *(one for claim in taken for one in life(claim)))


@pytest.mark.parametrize("published", [True, False])
async def test_a_feed_brings_every_order_of_more_than_its_inbox_holds(
    database: Connection, stage: Stage, account: int, published: bool
) -> None:
    """Orders that have come and ended before it looks, or of which Redis brings nothing."""
    browser = stage.open_feed()
    await browser.receives()
    events = executed(database, account, 300)
    assert len(events) > feed.MAX_INBOX
    if published:
        stage.publisher.publish(events)

    assert list((await seqs_seen(browser, 300 * 5)).values()) == [[1, 2, 3, 4, 5]] * 300
    await asyncio.sleep(0)
    assert browser.sent.empty()


async def test_what_was_dated_before_and_committed_after_is_sent_again(
    database: Connection, stage: Stage, taken: Claimed
) -> None:
    """An event has the time at which its transaction began, so it may be older than one that a client has seen."""
    browser = stage.open_feed(urlencode({"since": (datetime.now(UTC) + timedelta(seconds=5)).isoformat()}))
    await browser.receives()

    assert [of_order(await browser.receives()) for _ in range(2)] == [(str(taken.id), 1), (str(taken.id), 2)]


@pytest.mark.parametrize("query", ["since=yesterday", "since=", "since=2026-11-27T00:00:00", "sinse=x", "after=3"])
async def test_a_feed_from_a_time_that_is_none_is_refused(stage: Stage, query: str) -> None:
    browser = stage.open_feed(query)
    async with asyncio.timeout(20):
        answer = [await browser.sent.get() for _ in range(2)]
    assert answer[0]["status"] == 400 and b"VALIDATION_FAILED" in answer[1]["body"]


async def test_another_account_s_order_is_not_there(database: Connection, stage: Stage, account: int) -> None:
    foreign = accepted(database, new_order(account + 1))

    assert await stage.open(foreign.id).receives() == {"closed": 4404}


def forged(order_id: UUID, seq: int, status: str) -> tuple[str, int, str]:
    text = {
        "type": "event",
        "orderId": str(order_id),
        "seq": seq,
        "status": status,
        "at": "",
        "data": {"txHash": "forged"},
    }
    return str(order_id), seq, json.dumps(text)


async def test_what_others_publish_to_redis_is_dropped_and_counted(
    database: Connection, stage: Stage, taken: Claimed, account: int
) -> None:
    """Whoever can publish neither shows a client a status nor closes its socket."""
    order, feed_ = stage.open(taken.id), stage.open_feed()
    assert (await order.receives())["seq"] == 2 and (await feed_.receives())["type"] == "snapshot"
    entry = [forged(taken.id, 3, "confirmed")]
    client = redis.Redis.from_url(settings.REDIS_URL)
    sent = 0
    for group in (order_group(taken.id), account_group(account)):
        elsewhere = signature("order.another", entry)
        foreign = msgpack.packb({"type": "group.texts", "group": group, "news": entry, "signature": "no bytes"})
        for message in (
            group_message(group, entry),
            group_message(group, entry, bytes(16)),
            group_message(group, entry, elsewhere),
            foreign,
            b"",
            b"\xff not msgpack",
            msgpack.packb([1, 2]),
            msgpack.packb({"group": group}),
            msgpack.packb({"group": group, "news": 7}),
            msgpack.packb({"group": group, "news": [["x"]], "signature": b""}),
        ):
            sent += 1
            client.publish(group_channel(group), message)
    client.close()
    stage.publisher.publish(write(database, life(taken)[0]))

    assert [(await browser.receives())["seq"] for browser in (order, feed_)] == [3, 3]
    assert order.sent.empty() and feed_.sent.empty()
    assert stage.subscriptions.refused == sent


async def test_a_message_that_comes_again_changes_nothing(database: Connection, stage: Stage, taken: Claimed) -> None:
    order = stage.open(taken.id)
    await order.receives()
    events = write(database, *life(taken)[:2])
    stage.publisher.publish(events)
    assert [(await order.receives())["seq"] for _ in range(2)] == [3, 4]
    texts = [(str(taken.id), event.seq, event.text()) for event in events]
    group = order_group(taken.id)
    client = redis.Redis.from_url(settings.REDIS_URL)
    for _ in range(3):
        client.publish(group_channel(group), group_message(group, texts, signature(group, texts)))
    client.close()
    stage.publisher.publish(write(database, life(taken)[2]))

    assert (await order.receives())["seq"] == 5 and await order.receives() == {"closed": 1000}
    assert stage.subscriptions.refused == 0


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ('{"type":"quotes","pair":"SOL-USDC"}', True),
        ('{"type":"quotes","pair":"JUP-USDC"}', False),
        ('{"type":"event","pair":"SOL-USDC","status":"confirmed"}', False),
        ("nonsense", False),
    ],
)
def test_a_pair_s_group_carries_prices_only(text: str, passes: bool) -> None:
    message = {"group": "quotes.SOL-USDC", "news": [["SOL-USDC", 0, text]]}
    with contextlib.nullcontext() if text != "nonsense" else pytest.raises(msgspec.DecodeError):
        assert (checked("quotes.SOL-USDC", message) is not None) is passes


def test_prices_of_another_pair_are_not_shown() -> None:
    message = {"news": [["JUP-USDC", 0, '{"type":"quotes","pair":"JUP-USDC"}']]}
    assert checked("quotes.JUP-USDC", message) is not None
    assert checked("quotes.SOL-USDC", message) is None
