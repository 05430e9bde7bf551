"""Webhooks against a real receiver: nothing is lost, nothing is out of order, nothing is sent that was not committed."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from django.conf import settings as real_settings
from pytest_django.fixtures import Settings
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from accounts.models import Account
from orders.alerts import AlertKind, raise_alert
from orders.ledger import statements
from orders.ledger.statements import Connection
from orders.ledger.values import Claimed, NewOrder
from orders.lifecycle import Event, Status
from risk.changes import By, set_limits, set_state
from risk.models import Budget
from risk.values import EVERYBODY, Limits, TradingState
from tests.factories import accepted, change, claimed, connect, executor, limit_order, new_order, reconciler, submitted
from tests.integration.test_plan_steps import entered
from tests.receiver import Receiver
from tests.waiting import until
from webhooks import commands, store
from webhooks.endpoint_in import WebhookAmendIn
from webhooks.models import Delivery, Endpoint
from webhooks.post import Poster
from webhooks.sender import Rules, Sender
from webhooks.types import TYPES

LOOPBACK = ["127.0.0.0/8"]
LIMIT_S = 20
RULES = Rules(retry_base_s=0.005, retry_for_s=3600, keep_days=7, concurrency=8)


@pytest.fixture(autouse=True)
def loopback_allowed(settings: Settings) -> None:
    settings.WEBHOOK_ALLOWED_NETWORKS = LOOPBACK


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver().running() as receiver:
        yield receiver


@pytest.fixture
def listen(account: int, receiver: Receiver) -> Callable[..., Endpoint]:
    def listen(path: str, types: tuple[str, ...] = TYPES, **options: Any) -> Endpoint:
        endpoint, receiver.secrets[path] = commands.create(account, receiver.url(path), types, **options)
        return endpoint

    return listen


@contextmanager
def sending(rules: Rules = RULES, *, allowed: list[str] = LOOPBACK, timeout_s: float = 5) -> Iterator[None]:
    """A sender beside the test, on a loop of its own."""
    loop = asyncio.new_event_loop()

    async def run() -> None:
        poster = Poster(allowed=allowed, timeout_s=timeout_s)
        try:
            await Sender(real_settings.DATABASE_URL, poster, rules).run()
        finally:
            await poster.close()

    task = loop.create_task(run())
    thread = threading.Thread(target=lambda: loop.run_until_complete(asyncio.wait((task,))), daemon=True)
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(LIMIT_S)
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def confirm(database: Connection, taken: Claimed) -> None:
    """Six events in all."""
    submitted(database, taken)
    done = change(taken, Event.CONFIRM, was=Status.SUBMITTED, seq=taken.seq + 2)
    assert all(statements.record(database, [done]))


def confirmed(database: Connection, account: int, many: int = 1) -> list[NewOrder]:
    by, orders = executor(database), [accepted(database, new_order(account)) for _ in range(many)]
    for order in orders:
        confirm(database, claimed(database, order, by))
    return orders


def failed(database: Connection, account: int, **fields: Any) -> NewOrder:
    order = accepted(database, limit_order(account, **fields) if fields else new_order(account))
    assert all(statements.record(database, [change(claimed(database, order), Event.FAIL)]))
    return order


def states() -> set[str]:
    return set(Delivery.objects.values_list("state", flat=True))


def all_delivered(many: int) -> bool:
    return Delivery.objects.filter(state="delivered").count() == many


def got(receiver: Receiver, many: int) -> bool:
    return len(receiver.got) >= many


def test_every_event_is_sent_once_in_order_and_signed(
    database: Connection, account: int, receiver: Receiver, listen: Callable[..., Endpoint]
) -> None:
    confirmed(database, account)  # Before anybody listens.
    listen("ok")
    with sending():
        order = confirmed(database, account)[0]
        until(lambda: all_delivered(5), LIMIT_S)

    assert receiver.accepted("ok") == {str(order.id): [1, 2, 3, 4, 5]}
    last = receiver.of("ok")[-1]
    assert last.id == f"{order.id}.5" and last.body["type"] == "order.confirmed"
    assert last.body["data"]["data"]["executedPrice"] == "149.5" and last.body["data"]["status"] == "confirmed"
    assert last.body["data"]["account"] == "tester" and last.body["data"]["order"]["tokenIn"] == "SOL"


def test_by_default_what_ends_and_alerts_are_sent(
    database: Connection, account: int, receiver: Receiver, listen: Callable[..., Endpoint]
) -> None:
    endpoint, receiver.secrets["ok"] = commands.create(account, receiver.url("ok"))
    with sending():
        order, stop = failed(database, account), failed(database, account, trigger_condition="lte")
        raise_alert(database, AlertKind.BUDGET_USED_UP, {"limit": "100"}, account_id=account, once="a")
        assert not raise_alert(database, AlertKind.BUDGET_USED_UP, {}, account_id=account, once="a")
        raise_alert(database, AlertKind.BUDGET_USED_UP, {}, account_id=account + 1)
        until(lambda: all_delivered(6), LIMIT_S)

    sent = sorted((each.id.partition(".")[0], each.body["type"]) for each in receiver.of("ok"))
    alert = next(each for each in receiver.of("ok") if each.body["type"] == "alert.budget_used_up")
    assert sent == sorted(
        [
            (str(order.id), "order.failed"),
            (str(order.id), "alert.dead_letter"),
            (str(stop.id), "order.failed"),
            (str(stop.id), "alert.dead_letter"),
            (str(stop.id), "alert.stop_failed"),
            (alert.id.partition(".")[0], "alert.budget_used_up"),
        ]
    )
    assert alert.body["data"] | {"limit": "100", "account": "tester"} == alert.body["data"]
    assert len({each.id for each in receiver.of("ok")}) == 6, "each message has an id of its own"


def test_operators_hear_of_everybody_and_of_lost_executors(
    database: Connection, account: int, receiver: Receiver, listen: Callable[..., Endpoint]
) -> None:
    listen("ok", ("alert.executor_lost", "order.cancelled"))
    listen("all", ("alert.executor_lost", "order.cancelled"), all_accounts=True)
    other = Account.objects.get_or_create(name="another")[0].pk
    executor(database, silent_s=60)
    with sending():
        # For the first seconds of a Postgres no executor counts as dead.
        until(lambda: reconciler(settle_s=0, dead_after_s=1).run(database).get("dead"), LIMIT_S)
        for order in (accepted(database, new_order(account)), accepted(database, new_order(other))):
            assert all(statements.record(database, [change(order, Event.CANCEL)]))
        until(lambda: all_delivered(4), LIMIT_S)

    assert [each.body["type"] for each in receiver.of("ok")] == ["order.cancelled"]
    assert sorted(each.body["type"] for each in receiver.of("all")) == ["alert.executor_lost"] + ["order.cancelled"] * 2
    lost = next(each for each in receiver.of("all") if each.body["type"] == "alert.executor_lost")
    assert lost.body["data"]["executor"] == "test" and lost.body["data"]["account"] is None


def test_plans_are_sent_like_orders(
    database: Connection, account: int, receiver: Receiver, listen: Callable[..., Endpoint]
) -> None:
    listen("ok", tuple(each for each in TYPES if each.startswith("plan.")))
    with sending():
        plan = entered(database, account)
        noted = plan.events.count()
        until(lambda: all_delivered(noted), LIMIT_S)

    assert noted and receiver.accepted("ok") == {str(plan.pk): list(range(1, noted + 1))}
    assert receiver.of("ok")[0].body["data"]["planId"] == str(plan.pk)


def test_what_fails_is_tried_again_and_its_order_waits_for_it(
    database: Connection, account: int, receiver: Receiver, listen: Callable[..., Endpoint]
) -> None:
    listen("fails")
    with sending():
        orders = confirmed(database, account, 30)
        until(lambda: all_delivered(150), LIMIT_S)

    assert sum(not each.accepted for each in receiver.got) > 20
    assert receiver.accepted("fails") == {str(order.id): [1, 2, 3, 4, 5] for order in orders}
    assert receiver.most_at_once == 1


def test_who_hangs_or_is_slow_holds_nobody_up(
    database: Connection, account: int, receiver: Receiver, listen: Callable[..., Endpoint]
) -> None:
    for path in ("hangs", "slow", "ok"):
        listen(path, ("order.confirmed",))
    with sending(timeout_s=30):
        confirmed(database, account, 40)
        until(lambda: len(receiver.of("ok")) == 40, 20)
        assert len(receiver.of("slow")) < 40 and not receiver.of("hangs"), "the well one was done first"
        until(lambda: len(receiver.of("slow")) == 40, LIMIT_S)


@pytest.mark.parametrize(("path", "status", "wanted"), [("redirects", 307, "waiting"), ("later", 503, "waiting")])
def test_an_answer_that_is_none_counts_as_failure(
    database: Connection,
    account: int,
    receiver: Receiver,
    listen: Callable[..., Endpoint],
    path: str,
    status: int,
    wanted: str,
) -> None:
    listen(path, ("order.confirmed",))
    listen("ok", ("order.failed",))
    with sending(RULES if path == "redirects" else Rules(0.001, 3600, 7, 8)):
        confirmed(database, account)
        until(lambda: Delivery.objects.filter(attempts__gt=0).exists(), LIMIT_S)

    row = Delivery.objects.get()
    assert (row.status, row.said, row.state) == (status, f"said {status}", wanted)
    assert not receiver.of("ok"), "redirects are not followed"
    if path == "later":
        assert row.next_at and row.next_at > datetime.now(UTC) + timedelta(minutes=50), "Retry-After holds"


def test_410_switches_it_off(
    database: Connection, account: int, receiver: Receiver, listen: Callable[..., Endpoint]
) -> None:
    endpoint = listen("gone", ("order.confirmed",))
    with sending():
        confirmed(database, account)
        until(lambda: not Endpoint.objects.get(pk=endpoint.pk).enabled, LIMIT_S)
    assert len(receiver.of("gone")) == 1
    assert Endpoint.objects.get(pk=endpoint.pk).disabled_reason == "It answered 410 Gone."


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_private_addresses_are_not_reached(
    database: Connection, account: int, receiver: Receiver, listen: Callable[..., Endpoint], host: str
) -> None:
    endpoint = listen("ok", ("order.confirmed",))
    for scheme in ("http", "https"):
        Endpoint.objects.filter(pk=endpoint.pk).update(
            url=f"{scheme}://{host}:{receiver.port}/ok", updated_at=datetime.now(UTC)
        )
        with sending(allowed=["10.0.0.0/8"]):
            confirmed(database, account)
            until(lambda: Delivery.objects.filter(attempts__gt=0).exists(), LIMIT_S)
        assert {row.said for row in Delivery.objects.filter(attempts__gt=0)} == {
            "The name leads to an address that is not allowed."
        }
        Delivery.objects.all().delete()
    assert not receiver.got


def test_what_was_not_committed_is_not_sent_and_what_was_committed_late_is(
    database: Connection, account: int, receiver: Receiver, listen: Callable[..., Endpoint]
) -> None:
    listen("ok", ("order.cancelled",))
    late, lost = accepted(database, new_order(account)), accepted(database, new_order(account))
    with sending(), connect() as one, connect() as other:
        for connection, order in ((one, late), (other, lost)):
            connection.autocommit = False
            statements.record(connection, [change(order, Event.CANCEL)])
        # Others commit meanwhile, and are sent; their time is later than that of what is still open.
        for many in (1, 2, 3):
            assert all(statements.record(database, [change(accepted(database, new_order(account)), Event.CANCEL)]))
            until(partial(got, receiver, many), LIMIT_S)
        one.commit()
        other.rollback()
        until(lambda: len(receiver.got) == 4, LIMIT_S)

    assert str(late.id) in receiver.accepted("ok") and str(lost.id) not in receiver.accepted("ok")


def test_a_killed_sender_loses_nothing_and_keeps_the_order(
    database: Connection, account: int, receiver: Receiver, listen: Callable[..., Endpoint]
) -> None:
    listen("slow")
    environment = {**os.environ, "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8", "WEBHOOK_RETRY_BASE_MS": "50"}
    orders = confirmed(database, account, 12)
    for at_least in (5, 25, 60):
        process = subprocess.Popen([sys.executable, "-m", "webhooks"], env=environment)
        try:
            until(partial(got, receiver, at_least), LIMIT_S, 0.01)
            if at_least == 60:
                until(lambda: all_delivered(60), LIMIT_S)
        finally:
            process.send_signal(signal.SIGTERM if at_least == 60 else signal.SIGKILL)
            process.wait(20)

    firsts = {order: list(dict.fromkeys(seqs)) for order, seqs in receiver.accepted("slow").items()}
    assert firsts == {str(order.id): [1, 2, 3, 4, 5] for order in orders}
    assert len(receiver.got) > 60, "what was under way at a kill was sent again"


def test_of_two_senders_one_sends(
    database: Connection, account: int, receiver: Receiver, listen: Callable[..., Endpoint]
) -> None:
    listen("slow")
    with sending(), sending():
        confirmed(database, account, 5)
        until(lambda: all_delivered(25), LIMIT_S)
    assert len(receiver.got) == 25 and receiver.most_at_once == 1


def test_what_was_tried_for_too_long_is_parked_and_a_replay_sends_it(
    database: Connection, account: int, receiver: Receiver, listen: Callable[..., Endpoint]
) -> None:
    endpoint = listen("hangs", ("order.confirmed",))
    before = datetime.now(UTC) - timedelta(hours=1)
    # One sender for all of it: another would look back at its start, and send by itself what the replay then sends again.
    with sending(Rules(0.01, 2, 7, 8), timeout_s=1):
        order = confirmed(database, account)[0]
        until(lambda: states() == {"parked"}, LIMIT_S)
        url, receiver.secrets["ok"] = receiver.url("ok"), receiver.secrets["hangs"]
        commands.amend(endpoint, WebhookAmendIn(url=url, types=["order.pending", "order.confirmed"]))
        commands.replay(endpoint, before, datetime.now(UTC) + timedelta(minutes=1))
        until(lambda: all_delivered(2), LIMIT_S)
    assert receiver.accepted("ok") == {str(order.id): [1, 5]}, "what it had not asked for before is sent as well"
    assert Endpoint.objects.get().replay_from is None


def test_while_secrets_overlap_either_verifies(
    database: Connection, account: int, receiver: Receiver, listen: Callable[..., Endpoint]
) -> None:
    endpoint = listen("ok", ("order.confirmed",))
    old = receiver.secrets["ok"]
    for many, (overlap_s, known) in enumerate(((3600, old), (3600, None), (0, None)), start=1):
        _, new = commands.rotate(endpoint, overlap_s)
        receiver.secrets["ok"] = known or new
        with sending():
            confirmed(database, account)
            until(partial(all_delivered, many), LIMIT_S)

    commands.rotate(endpoint, 0)
    with sending():  # It cannot be verified any more: the receiver raises, which is a 500.
        confirmed(database, account)
        until(lambda: Delivery.objects.filter(attempts__gt=0, status=500).exists(), LIMIT_S)
    with pytest.raises(WebhookVerificationError):
        Webhook(old).verify("{}", {"webhook-id": "1", "webhook-timestamp": "0", "webhook-signature": "v1,AA=="})


def test_a_disabled_one_gets_nothing_and_later_only_what_comes_later(
    database: Connection, account: int, receiver: Receiver, listen: Callable[..., Endpoint]
) -> None:
    endpoint = listen("ok", ("order.confirmed",))
    commands.amend(endpoint, WebhookAmendIn(enabled=False))
    listen("always", ("order.confirmed",))
    before = confirmed(database, account)[0]
    commands.amend(endpoint, WebhookAmendIn(enabled=True))
    order = confirmed(database, account)[0]
    with sending():
        until(lambda: all_delivered(3), LIMIT_S)
    assert receiver.accepted("ok") == {str(order.id): [5]}
    assert receiver.accepted("always") == {str(before.id): [5], str(order.id): [5]}


def test_old_deliveries_are_deleted_and_do_not_come_again(
    database: Connection, account: int, receiver: Receiver, listen: Callable[..., Endpoint]
) -> None:
    endpoint = listen("ok")
    orders = [accepted(database, limit_order(account)) for _ in range(2)]
    with sending():
        until(lambda: all_delivered(2), LIMIT_S)
    database.execute("UPDATE webhooks_delivery SET at = at - interval '8 days', queued_at = at - interval '8 days'")
    database.execute("UPDATE orders_orderevent SET at = at - interval '8 days'")
    Endpoint.objects.update(since=datetime.now(UTC) - timedelta(days=9))
    with sending():
        until(lambda: not Delivery.objects.exists(), LIMIT_S)
        assert all(statements.record(database, [change(orders[0], Event.CANCEL)]))
        until(lambda: len(receiver.got) == 3, LIMIT_S)
    assert receiver.got[-1].id == f"{orders[0].id}.2"
    endpoint.delete()
    with sending():
        until(lambda: not Delivery.objects.exists(), LIMIT_S)


def test_a_sender_that_was_frozen_sends_nothing_more(
    database: Connection, account: int, receiver: Receiver, listen: Callable[..., Endpoint]
) -> None:
    """By then its lock is another one's, which may have sent later events of the order."""
    endpoint, order = listen("ok"), confirmed(database, account)[0]

    async def attempt(silent_s: float) -> object:
        poster = Poster(allowed=LOOPBACK, timeout_s=5)
        sender = Sender(real_settings.DATABASE_URL, poster, RULES, now=lambda: silent_s)
        sender._used_at = 0
        try:
            async with await store.connect(real_settings.DATABASE_URL) as connection:
                kept = store.Store(connection)
                await kept.note()
                [due] = await kept.take({endpoint.pk: 1}, [])
                [target] = await kept.targets()
                return await sender._attempt(due, target)
        finally:
            await poster.close()

    assert asyncio.run(attempt(store.MAX_SILENT_S)) is None and not receiver.got
    assert asyncio.run(attempt(1)) and receiver.accepted("ok") == {str(order.id): [1]}


def test_what_waits_for_its_next_attempt_holds_back_what_comes_after_it(
    database: Connection, account: int, listen: Callable[..., Endpoint]
) -> None:
    endpoint = listen("ok")
    confirmed(database, account)

    async def taken() -> list[int]:
        async with await store.connect(real_settings.DATABASE_URL) as connection:
            kept = store.Store(connection)
            await kept.note()
            return [due.seq for due in await kept.take({endpoint.pk: 9}, [])]

    assert asyncio.run(taken()) == [1]
    Delivery.objects.filter(seq=1).update(next_at=datetime.now(UTC) + timedelta(minutes=1))
    assert asyncio.run(taken()) == []
    Delivery.objects.filter(seq=1).update(state="parked", next_at=None)
    assert asyncio.run(taken()) == [2]


def test_an_outage_of_postgres_loses_nothing(
    database: Connection, account: int, receiver: Receiver, listen: Callable[..., Endpoint]
) -> None:
    listen("slow")
    with sending():
        orders = confirmed(database, account, 6)
        until(partial(got, receiver, 4), LIMIT_S, 0.01)
        database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'orderengine:webhooks'"
        )
        until(partial(all_delivered, 30), LIMIT_S)
    assert {order: sorted(set(seqs)) for order, seqs in receiver.accepted("slow").items()} == {
        str(order.id): [1, 2, 3, 4, 5] for order in orders
    }
    assert receiver.most_at_once == 1 and len(receiver.got) == 30, "what was answered meanwhile is not sent again"


def test_a_change_of_state_and_a_used_up_budget_are_told_once(
    database: Connection, account: int, receiver: Receiver, listen: Callable[..., Endpoint]
) -> None:
    listen("ok", ("alert.budget_used_up", "alert.trading_state"))
    listen("all", ("alert.budget_used_up", "alert.trading_state"), all_accounts=True)
    other = Account.objects.get_or_create(name="another")[0].pk
    by = By("user operator", staff=True)
    with sending():
        set_limits(account, Limits(max_daily_spend=Decimal(100)), by)
        set_limits(other, Limits(max_daily_loss=Decimal(5)), by)
        Budget.objects.filter(pk=account).update(day=datetime.now(UTC).date(), spent=Decimal(100))
        Budget.objects.filter(pk=other).update(day=datetime.now(UTC).date(), lost=Decimal("4.99"))
        for who, state in (
            (EVERYBODY, TradingState.HALTED),
            (other, TradingState.REDUCING),
            (EVERYBODY, TradingState.ACTIVE),
        ):
            set_state(who, state, by)
        until(partial(all_delivered, 7), LIMIT_S)
        Budget.objects.filter(pk=account).update(spent=Decimal(101))
        set_state(account, TradingState.HALTED, by)
        until(partial(all_delivered, 9), LIMIT_S)

    told = [(each.body["type"].partition(".")[2], each.body["data"]) for each in receiver.of("ok")]
    assert sorted((kind, data.get("state", data.get("used"))) for kind, data in told) == [
        ("budget_used_up", "100"),
        ("trading_state", "ACTIVE"),
        ("trading_state", "HALTED"),
        ("trading_state", "HALTED"),
    ]
    halted = next(data for _, data in told if data.get("everybody"))
    assert halted["was"] in ("ACTIVE", "HALTED") and halted["account"] is None
    assert len(receiver.of("all")) == 5
