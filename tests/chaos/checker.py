"""The checker: what must hold after every fault, one function an invariant.

It compares three stories: Postgres', the chain's (the mock's log, or a real one read over RPC), and what each client wrote down.
"""

import contextlib
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from orders.lifecycle import FINAL, SUCCESSORS, Status
from tests.bookkeeping import by_answer, by_events, by_positions, of_wallets
from tests.chaos.clients import Load
from tests.chaos.plan_checks import PLAN_INVARIANTS
from tests.onchain import Witness

Row = dict[str, Any]
CLOCK_SLACK_S = 0.001
"""Postgres and the chain read the same clock, in different processes and with different roundings."""


@dataclass(frozen=True)
class Evidence:
    orders: dict[str, Row]
    events: dict[str, list[Row]]
    intents: dict[str, list[Row]]
    letters: dict[str, list[Row]]
    transactions: dict[str, list[Row]]
    """Of the chain, by order."""
    submissions: dict[str, list[Row]]
    plans: dict[str, Row]
    plan_events: dict[str, list[Row]]
    load: Load
    discrepancies: list[str]
    """Between the orders and what a real chain says of their wallets, when none is in work."""
    positions: dict[str, Decimal]
    """What the books say has changed of each token, by mint: all fills, folded here."""
    answer: list[Row] | None = None
    """Of `GET /api/positions`, when no order is in work any more. None: nobody asked."""
    witness: Witness | None = None

    @classmethod
    def gather(cls, database_url: str, data_dir: Path, load: Load, witness: Witness | None = None) -> "Evidence":
        with psycopg.connect(database_url, row_factory=dict_row) as connection:
            # One moment for all of them.
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            orders = {str(row["id"]): row for row in connection.execute("SELECT * FROM orders_order")}
            events = grouped(connection.execute("SELECT * FROM orders_orderevent ORDER BY order_id, seq"))
            intents = grouped(connection.execute("SELECT * FROM orders_transaction ORDER BY created_at"))
            letters = grouped(connection.execute("SELECT * FROM orders_deadletter ORDER BY id"))
            plans = {str(row["id"]): row for row in connection.execute("SELECT * FROM orders_plan")}
            steps = grouped(connection.execute("SELECT * FROM orders_planevent ORDER BY plan_id, seq"), "plan_id")
            positions = by_positions(connection)
        committed = orders, events, intents, letters
        if witness is not None:
            landed = [
                {"order_id": each.order_id, "signature": each.signature, "fate": "reverted" if each.err else "landed"}
                for each in witness.landed()
            ]
            wrong = witness.discrepancies(orders.values()) if settled(orders) else []
            return cls(*committed, grouped(landed), {}, plans, steps, load, wrong, positions)
        with contextlib.closing(sqlite3.connect(f"file:{data_dir}/mock/chain.sqlite3?mode=ro", uri=True)) as chain:
            chain.row_factory = sqlite3.Row
            transactions = grouped(chain.execute("SELECT reference AS order_id, * FROM transactions"))
            submissions = grouped(chain.execute("SELECT reference AS order_id, * FROM submissions ORDER BY id"))
        return cls(*committed, transactions, submissions, plans, steps, load, [], positions)

    @property
    def settled(self) -> bool:
        return settled(self.orders)

    def landed(self, order_id: str) -> list[str]:
        return [row["signature"] for row in self.transactions.get(order_id, ()) if row["fate"] == "landed"]


def settled(orders: dict[str, Row]) -> bool:
    """Whether nothing trades any more: an order that rests has sent nothing, or what it sent is settled."""
    return all(row["status"] in FINAL or row["resting"] for row in orders.values())


def grouped(rows: Any, by: str = "order_id") -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[str(row[by])].append(dict(row))
    return dict(found)


def every_2xx_has_its_order(seen: Evidence) -> Iterator[str]:
    for operation in seen.load.operations:
        if operation.outcome == "ok":
            row = seen.orders.get(str(operation.order_id))
            if row is None or row["idempotency_key"] != operation.key:
                yield f"{operation.key}: was answered with {operation.order_id}, which is not in the ledger"


def nobody_gave_up(seen: Evidence) -> Iterator[str]:
    for key in seen.load.abandoned:
        yield f"{key}: no request was accepted however often the client came back"
    for operation in seen.load.operations:
        if operation.outcome == "failed":
            yield f"{operation.key}: a good request was answered with {operation.status}"


def everything_ends(seen: Evidence) -> Iterator[str]:
    for order_id, row in seen.orders.items():
        if row["status"] not in FINAL:
            yield f"{order_id}: still {row['status']} (attempt {row['attempts']}, executor {row['executor']})"
        if row["status"] == Status.FAILED and not any(
            not each["resolved_at"] for each in seen.letters.get(order_id, ())
        ):
            yield f"{order_id}: failed and not among the dead letters"


def nothing_lands_twice(seen: Evidence) -> Iterator[str]:
    for order_id in seen.transactions:
        if len(landed := seen.landed(order_id)) > 1:
            yield f"{order_id}: {len(landed)} transactions landed"


def confirmed_means_landed(seen: Evidence) -> Iterator[str]:
    for order_id, row in seen.orders.items():
        landed = seen.landed(order_id)
        if row["status"] == Status.CONFIRMED and landed != [row["tx_hash"]]:
            yield f"{order_id}: confirmed as {row['tx_hash']}, and on the chain is {landed}"
        if row["status"] in FINAL - {Status.CONFIRMED} and landed:
            yield f"{order_id}: {row['status']}, and {landed} landed"
    for order_id in seen.transactions.keys() - seen.orders.keys():
        yield f"{order_id}: on the chain, not in the ledger"


def wallets_have_what_orders_say(seen: Evidence) -> Iterator[str]:
    """To the last base unit, and every transaction with one of our memos is an order's."""
    yield from seen.discrepancies


def positions_are_what_was_traded(seen: Evidence) -> Iterator[str]:
    """To the last place: each confirmed order is in the books, once."""
    traded = by_events(seen.orders, seen.events)
    for mint in traded.keys() | seen.positions.keys():
        if (booked := seen.positions.get(mint, 0)) != (said := traded.get(mint, 0)):
            yield f"{mint}: the books have {booked}, by the events it is {said}"


def answers_are_what_was_traded(seen: Evidence) -> Iterator[str]:
    """To the last place, from whatever checkpoints there are. One account trades."""
    if seen.answer is not None:
        traded, answered = by_events(seen.orders, seen.events), by_answer(seen.answer)
        for mint in traded.keys() | answered.keys():
            if (booked := answered.get(mint, 0)) != (said := traded.get(mint, 0)):
                yield f"{mint}: the engine answers {booked}, by the events it is {said}"


def wallets_have_what_answers_say(seen: Evidence) -> Iterator[str]:
    """To the last base unit, fees of the chain included."""
    if seen.answer is not None and seen.witness is not None:
        booked, gained = of_wallets(seen.witness.chain, seen.answer), seen.witness.gained()
        for mint in booked.keys() | gained.keys():
            if booked[mint] != gained[mint]:
                yield f"{mint}: by the engine's answer wallets have gained {booked[mint]}, on the chain it is {gained[mint]}"


def histories_are_legal(seen: Evidence) -> Iterator[str]:
    for order_id, row in seen.orders.items():
        events = seen.events.get(order_id, [])
        if [event["seq"] for event in events] != list(range(1, row["seq"] + 1)):
            yield f"{order_id}: events {[event['seq'] for event in events]} of an order at {row['seq']}"
            continue
        path = [Status(event["status"]) for event in events]
        if path[0] is not Status.PENDING or path[-1] != row["status"]:
            yield f"{order_id}: {' '.join(path)} of an order that is {row['status']}"
        for before, after, event in zip(path, path[1:], events[1:], strict=False):
            if after not in SUCCESSORS[before].values():
                yield f"{order_id}: {after} follows {before}"
            if before in FINAL and "requeued" not in event["data"]:
                yield f"{order_id}: {after} follows {before}, and nobody asked for it"


def nothing_fires_unasked(seen: Evidence) -> Iterator[str]:
    for order_id, events in seen.events.items():
        row = seen.orders[order_id]
        limit, falls = row["limit_price"], row["trigger_condition"] == "lte"
        for before, event in pairwise(events):
            if not before["data"].get("resting") or event["status"] != Status.ROUTING:
                continue
            trigger = event["data"].get("trigger")
            # Each time a trailing stop fires its price is another one: the event says which.
            at = Decimal(trigger["limit"]) if trigger and row["trail_bps"] else limit
            price = Decimal(trigger["price"]) if trigger else None
            if price is None or at is not None and (price > at if falls else price < at):
                yield f"{order_id}: left its rest at {at} by {trigger}"


def no_price_is_worse_than_asked(seen: Evidence) -> Iterator[str]:
    for order_id, row in seen.orders.items():
        # What waits for the price to fall names a trigger, not a promise.
        limit = row["limit_price"] if row["trigger_condition"] == "gte" else None
        if row["status"] == Status.CONFIRMED and limit and row["executed_price"] < limit:
            yield f"{order_id}: a limit of {limit} was filled at {row['executed_price']}"


def one_order_a_key(seen: Evidence) -> Iterator[str]:
    keys: dict[str, list[str]] = defaultdict(list)
    for order_id, row in seen.orders.items():
        keys[row["idempotency_key"] or order_id].append(order_id)
    for key, answers in seen.load.orders.items():
        if len(answers) > 1 or len(keys[key]) > 1:
            yield f"{key}: answered with {sorted(answers)}, in the ledger are {keys[key]}"


def intent_comes_first(seen: Evidence) -> Iterator[str]:
    for order_id, submissions in seen.submissions.items():
        intents = {row["signature"]: row["created_at"] for row in seen.intents.get(order_id, ())}
        for submission in submissions:
            written = intents.get(submission["signature"])
            at = datetime.fromtimestamp(submission["at"] / 1e6, UTC)
            if written is None or (written - at).total_seconds() > CLOCK_SLACK_S:
                yield f"{order_id}: {submission['signature'][:8]} was sent at {at}, its intent is of {written}"


def nothing_stays_open(seen: Evidence) -> Iterator[str]:
    for order_id, intents in seen.intents.items():
        if seen.orders[order_id]["status"] in FINAL and any(row["resolution"] is None for row in intents):
            yield f"{order_id}: {seen.orders[order_id]['status']} with an unresolved intent"


def resolutions_are_true(seen: Evidence) -> Iterator[str]:
    for order_id, intents in seen.intents.items():
        for row in intents:
            if (row["resolution"] == "landed") != (row["signature"] in seen.landed(order_id)) and row["resolution"]:
                yield f"{order_id}: {row['signature'][:8]} is resolved as {row['resolution']}; the chain says otherwise"


def streams_are_complete(seen: Evidence) -> Iterator[str]:
    for order_id, stream in seen.load.streams.items():
        received = [(seq, status, data) for seq, status, _, data in stream.events]
        true = [(event["seq"], event["status"], event["data"]) for event in seen.events.get(order_id, ())]
        # A stream ends with the order's end; should somebody requeue it, that is a new one.
        complete = received == true[: len(received)] and (len(received) == len(true) or stream.ended)
        if stream.faults or not complete:
            path = " ".join(f"{seq}:{status}" for seq, status, _ in received)
            yield f"{order_id}: over {stream.sockets} sockets a client got {path} {stream.faults}; the ledger has {len(true)}"


INVARIANTS = (
    every_2xx_has_its_order,
    nobody_gave_up,
    everything_ends,
    nothing_lands_twice,
    confirmed_means_landed,
    wallets_have_what_orders_say,
    positions_are_what_was_traded,
    answers_are_what_was_traded,
    wallets_have_what_answers_say,
    histories_are_legal,
    nothing_fires_unasked,
    no_price_is_worse_than_asked,
    one_order_a_key,
    intent_comes_first,
    nothing_stays_open,
    resolutions_are_true,
    streams_are_complete,
    *PLAN_INVARIANTS,
)


def violations(seen: Evidence, unanswerable: frozenset[str] = frozenset()) -> list[str]:
    asked = [check for check in INVARIANTS if check.__name__ not in unanswerable]
    return [f"{check.__name__}: {found}" for check in asked for found in check(seen)]
