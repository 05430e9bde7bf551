"""What must hold of plans after every fault, one function an invariant; `tests.chaos.checker` asks them with its own."""

from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from orders.lifecycle import FINAL, Status

if TYPE_CHECKING:
    from tests.chaos.checker import Evidence

Row = dict[str, Any]
ENTRY = "entry"
PROTECTS = ("stop", "trail", "time")
PAUSES_FROM = 4
"""The round of an exit of these clients (20, 40, 50, 50 % of slippage) whose failure is followed by a pause, as documented."""


def legs(seen: "Evidence", plan_id: str) -> list[Row]:
    return [row for row in seen.orders.values() if str(row["plan_id"]) == plan_id]


def sold(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row["leg"] != ENTRY and row["status"] == Status.CONFIRMED]


def position(plan: Row, rows: list[Row]) -> Decimal:
    """What a bracket holds before its first exit."""
    if plan["spec"].get("entry") is None:
        return Decimal(plan["spec"]["amount"])
    return sum((row["amount_out"] for row in rows if row["leg"] == ENTRY and row["amount_out"]), Decimal(0))


def brackets(seen: "Evidence") -> Iterator[tuple[str, Row, list[Row]]]:
    for plan_id, plan in seen.plans.items():
        if plan["kind"] == "bracket":
            yield plan_id, plan, legs(seen, plan_id)


def every_plan_that_was_taken_is_there_once(seen: "Evidence") -> Iterator[str]:
    clients = seen.load.plans
    for key, answers in clients.taken.items():
        keyed = [plan_id for plan_id, plan in seen.plans.items() if plan["idempotency_key"] == key]
        if len(answers) > 1 or keyed != list(answers):
            yield f"{key}: answered with {sorted(answers)}, in the ledger are {keyed}"
    for key in clients.abandoned:
        yield f"{key}: no request for the plan was accepted however often the client came back"
    for refusal in clients.refused:
        yield f"a good plan was refused: {refusal}"


def every_plan_ends(seen: "Evidence") -> Iterator[str]:
    for plan_id, plan in seen.plans.items():
        if plan["finished_at"] is None:
            yield f"{plan_id}: still {plan['status']} (holder {plan['holder']}, due {plan['due_at']})"
        elif left := [row["leg"] for row in legs(seen, plan_id) if row["status"] not in FINAL]:
            yield f"{plan_id}: {plan['status']}, and {left} are open"


def no_more_is_sold_than_was_bought(seen: "Evidence") -> Iterator[str]:
    for plan_id, plan, rows in brackets(seen):
        had, has_sold = position(plan, rows), sum((row["amount"] for row in sold(rows)), Decimal(0))
        if has_sold > had:
            yield f"{plan_id}: sold {has_sold} of {had}"


def a_position_is_closed_once(seen: "Evidence") -> Iterator[str]:
    for plan_id, _, rows in brackets(seen):
        closed = [f"{row['leg']}{row['round']}" for row in sold(rows) if row["leg"] in PROTECTS]
        if len(closed) > 1:
            yield f"{plan_id}: {closed} closed it"
        entries = [row for row in rows if row["leg"] == ENTRY and row["status"] == Status.CONFIRMED]
        if len(entries) > 1:
            yield f"{plan_id}: was entered {len(entries)} times"


def a_position_has_a_live_exit(seen: "Evidence") -> Iterator[str]:
    """After every step that leaves a plan open with something to sell, by its own events."""
    for plan_id, plan, _ in brackets(seen):
        names = {exit["leg"] for exit in plan["spec"]["exits"]} & set(PROTECTS)
        for event in seen.plan_events.get(plan_id, ()):
            left = Decimal((event["data"].get("progress") or {}).get("remaining", 0))
            now = {leg["leg"]: leg for leg in event["data"].get("legs", ())}
            live = [name for name in names if name in now and now[name]["status"] not in FINAL]
            # A time limit is made when its time has come; until then the others protect.
            rounds = max((now[name]["round"] for name in names if name in now), default=0)
            if event["status"] == "active" and left > 0 and not live and names != {"time"} and rounds < PAUSES_FROM:
                yield f"{plan_id}: {left} are held after step {event['seq']}, and its exits are {now}"


def a_schedule_spends_its_total_and_no_more(seen: "Evidence") -> Iterator[str]:
    for plan_id, plan in seen.plans.items():
        if plan["kind"] != "schedule" or plan["spec"].get("total") is None:
            continue
        spec, rows = plan["spec"], legs(seen, plan_id)
        total, each, count = Decimal(spec["total"]), Decimal(spec["slice_amount"]), spec["slices"]
        done = [row for row in rows if row["status"] == Status.CONFIRMED]
        spent = sum((row["amount"] for row in done), Decimal(0))
        if spent > total or len(done) == count and spent != total:
            yield f"{plan_id}: {len(done)} of {count} slices spent {spent} of {total}"
        if plan["finished_at"] and Decimal(plan["progress"]["spent"]) != spent:
            yield f"{plan_id}: says it spent {plan['progress']['spent']}, it is {spent}"
        for row in rows:
            planned = total - each * (count - 1) if row["round"] == count else each
            if not 1 <= row["round"] <= count or spec.get("catch_up") != "spread" and row["amount"] != planned:
                yield f"{plan_id}: slice {row['round']} is one of {row['amount']}, planned were {planned}"


def plan_events_have_no_gap(seen: "Evidence") -> Iterator[str]:
    for plan_id, plan in seen.plans.items():
        events = seen.plan_events.get(plan_id, [])
        if [event["seq"] for event in events] != list(range(1, plan["seq"] + 1)):
            yield f"{plan_id}: events {[event['seq'] for event in events]} of a plan at {plan['seq']}"
        elif events[-1]["status"] != plan["status"]:
            yield f"{plan_id}: its last event says {events[-1]['status']}, it is {plan['status']}"


def plan_streams_are_complete(seen: "Evidence") -> Iterator[str]:
    for plan_id, stream in seen.load.plans.streams.items():
        true = [(event["seq"], event["status"], event["data"]) for event in seen.plan_events.get(plan_id, ())]
        received = [(seq, status, data) for seq, status, _, data in stream.events]
        complete = received == true[: len(received)] and (len(received) == len(true) or stream.ended)
        if stream.faults or not complete:
            got = " ".join(f"{seq}:{status}" for seq, status, _ in received)
            yield f"{plan_id}: over {stream.sockets} sockets a client got {got} {stream.faults}; the ledger has {len(true)}"


PLAN_INVARIANTS = (
    every_plan_that_was_taken_is_there_once,
    every_plan_ends,
    no_more_is_sold_than_was_bought,
    a_position_is_closed_once,
    a_position_has_a_live_exit,
    a_schedule_spends_its_total_and_no_more,
    plan_events_have_no_gap,
    plan_streams_are_complete,
)
