"""What a plan's page says of it, in the operator's words. The rows' JSON is read as it is stored (`orders.plans.values`)."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from django.urls import reverse

from orders.admin.facts import Fact, called, moment, percent
from orders.models import Order, Plan
from orders.wire import text

Stored = Mapping[str, Any]
TAKES, NEVER = "takeProfit", "no end"


def title(plan: Plan) -> str:
    """What it sells and buys: 300 USDC → SOL."""
    spec: Stored = plan.spec
    if plan.kind == "schedule":
        amount = number(spec["total"]) if spec.get("total") else f"{number(spec['slice_amount'])} each of"
        return f"{amount} {called(spec['token_in'])} → {called(spec['token_out'])}"
    entry: Stored | None = spec.get("entry")
    token, quote = called(spec["token"]), called(spec["quote"])
    if entry is None:
        return f"{number(spec['amount'])} {token} → {quote}"
    if entry.get("exact_out"):
        return f"{quote} → {number(entry['exact_out'])} {token}"
    if entry.get("percent"):
        return f"{entry['percent']} % of {quote} → {token}"
    return f"{number(entry['amount'])} {quote} → {token}"


def progress(plan: Plan) -> str:
    done: Stored = plan.progress
    if plan.kind == "schedule":
        of = f" of {done['slices']}" if done.get("slices") else ""
        return f"{done.get('done', 0)}{of} slices, {number(done.get('spent', 0))} {called(plan.spec['token_in'])}"
    if not done.get("position"):
        return "waits for its entry"
    return f"{number(done['sold'])} of {number(done['position'])} {called(plan.spec['token'])} sold"


def plan_facts(plan: Plan | None) -> list[Fact]:
    """Of a plan with its account; what is not set is left out."""
    if plan is None:
        return []
    schedule = plan.kind == "schedule"
    wanted = [
        Fact("Plan id", str(plan.pk), long=True),
        Fact("Client plan id", plan.client_plan_id or "", long=True),
        Fact("Account", plan.account.name, link=reverse("admin:accounts_account_change", args=[plan.account_id])),
        Fact("Status", plan.status),
        Fact("Kind", plan.kind),
        Fact("Swap", title(plan)),
        Fact("Progress", progress(plan)),
        *(of_schedule(plan.spec, plan.progress) if schedule else of_bracket(plan.spec, plan.progress)),
        Fact("Turn", turn(plan)),
        Fact("Wallet", plan.spec.get("wallet") or "", long=True),
        Fact("Mode", plan.spec.get("mode") or ""),
        Fact("Next by time (UTC)", moment(plan.due_at)),
        Fact("Made (UTC)", moment(plan.created_at)),
        Fact("Last change (UTC)", moment(plan.updated_at)),
        Fact("Ended (UTC)", moment(plan.finished_at)),
    ]
    return [fact for fact in wanted if fact.value]


def turn(plan: Plan) -> str:
    """Whose order may trade next, of a bracket that goes on."""
    if plan.finished_at is not None or plan.kind == "schedule":
        return ""
    return "any exit's" if plan.holder is None else "its own" if plan.holder == plan.pk else f"order {plan.holder}"


def of_bracket(spec: Stored, done: Stored) -> list[Fact]:
    unit = f"{called(spec['quote'])} per {called(spec['token'])}"
    entry: Stored = spec.get("entry") or {}
    cost, average = done.get("cost"), done.get("averagePrice")
    return [
        Fact("Entry", entry.get("type", "")),
        Fact("Cost" if entry else "Price when made", f"{number(cost)} {unit}" if cost else ""),
        Fact("Sold on average at", f"{number(average)} {unit}" if average else ""),
        Fact("Exits", "; ".join(exit_of(each, unit) for each in spec["exits"]), long=True),
    ]


def exit_of(exit: Stored, unit: str) -> str:
    """What it waits for, how much of it, and how wide: `tp1 10 % above the cost, 50 %`."""
    side = "above" if exit["kind"] == TAKES else "below"
    if exit["kind"] == "trailing":
        waits = f"{share(exit['trail_bps'])} below the highest"
        if started := exit.get("activate_at_bps"):
            waits += f", once {share(started)} above the cost"
    elif exit["kind"] == "timeLimit":
        waits = f"after {lasting(exit['after_s'])}"
    else:
        waits = (
            f"at {number(exit['price'])} {unit}" if exit.get("price") else f"{share(exit['at_bps'])} {side} the cost"
        )
    portion = f", {share(exit.get('portion_bps', 10_000))} of it" if exit["kind"] == TAKES else ""
    slippage, widest = exit.get("slippage_bps", 50), exit.get("max_slippage_bps", 50)
    wide = share(slippage) if slippage == widest else f"{share(slippage)} to {share(widest)}"
    return f"{exit['leg']} {waits}{portion}, slippage {wide}"


def of_schedule(spec: Stored, done: Stored) -> list[Fact]:
    unit = f"{called(spec['token_out'])} per {called(spec['token_in'])}"
    jitter, failures = spec.get("jitter_bps"), spec.get("stop_after_failures")
    average = done.get("averagePrice")
    return [
        Fact(
            "Slices", f"{spec.get('slices') or NEVER}, {number(spec['slice_amount'])} every {lasting(spec['every_s'])}"
        ),
        Fact("Average price", f"{number(average)} {unit}" if average else ""),
        Fact("Price at least", f"{number(spec['min_price'])} {unit}" if spec.get("min_price") else ""),
        Fact("Price at most", f"{number(spec['max_price'])} {unit}" if spec.get("max_price") else ""),
        Fact("Jitter", percent(jitter) if jitter else ""),
        Fact("What an outage missed", "spread" if spec.get("catch_up") == "spread" else "skipped"),
        Fact("Stops after failures", str(failures or "")),
        Fact("Slippage at most", percent(spec["slippage_bps"])),
        Fact(
            "Failed, expired, cancelled, skipped",
            ", ".join(str(done.get(name, 0)) for name in ("failed", "expired", "cancelled", "skipped")),
        ),
    ]


def waits_for(order: Order) -> str:
    """Of a leg: the price at which it fires or was done."""
    unit = f"{called(order.token_out)} per {called(order.token_in)}"
    if order.executed_price is not None:
        return f"done at {number(order.executed_price)} {unit}"
    if order.trail_bps is not None and order.trail_high is None:
        return f"{percent(order.trail_bps)} below the highest"
    return f"{number(order.limit_price)} {unit}" if order.limit_price is not None else order.type


def happened(data: Stored) -> Iterator[tuple[str, str]]:
    """A plan's event: what it made, cancelled and changed, and why."""
    for name in ("created", "cancelled", "amended"):
        if legs := data.get(name):
            yield name, ", ".join(leg_of(leg) for leg in legs)
    if exits := data.get("exits"):
        yield "changed", "; ".join(f"{leg}: {said(fields)}" for leg, fields in exits.items())
    for name in ("asked", "reason", "by"):
        if value := data.get(name):
            yield name, said(value)
    if skipped := data.get("skipped"):
        yield "skipped", str(skipped[0]) if len(skipped) == 1 else f"{skipped[0]}–{skipped[-1]}"
    if alert := data.get("alert"):
        yield "alert", said(alert)
    if legs := data.get("legs"):
        yield "legs", ", ".join(f"{leg_of(leg)} {leg['status']}" for leg in legs)


def leg_of(leg: Stored) -> str:
    round = f" {leg['round']}" if leg.get("round", 1) > 1 or leg["leg"] == "slice" else ""
    return f"{leg['leg']}{round}" + (f" ({number(leg['amount'])})" if leg.get("amount") else "")


def said(value: Any) -> str:
    return ", ".join(f"{name} {inner}" for name, inner in value.items()) if isinstance(value, Mapping) else str(value)


def lasting(seconds: float) -> str:
    """30 d; 1 h 30 min; 2.5 s."""
    left = Decimal(str(seconds))
    words = []
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        count, left = divmod(left, length)
        words += [f"{count:.0f} {unit}"] if count else []
    return " ".join([*words, f"{number(left)} s"] if left or not words else words)


def share(bps: int) -> str:
    return f"{number(Decimal(bps) / 100)} %"


def number(value: Any) -> str:
    """Stored numbers may have an exponent."""
    return text(Decimal(str(value)))
