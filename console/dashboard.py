"""The admin's landing page: the values of `queries` as tables and charts."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Context
from typing import Any

import redis
from django.conf import settings
from django.http import HttpRequest

from accounts.roles import FIGURES
from console import queries
from orders.lifecycle import FINAL, Status
from orders.models import OrderType
from routing.cluster import mode
from routing.world import price_store

ORDERS = "admin:orders_order_changelist"
HEARTBEAT_LATE_S = settings.EXECUTOR_DEAD_AFTER_S
SHOWN = Context(prec=7)
"""Digits of a price."""
WIDTH, HEIGHT = 600, 120
"""Of a chart, in the units of its SVG view box; the page scales it."""


def environment(request: HttpRequest) -> list[str]:
    """The label of the execution mode in every page's head, for the theme: text and colour."""
    colours = {"mock": "warning", "localnet": "info", "devnet": "info"}
    return [mode(), "info" if settings.PAPER else colours.get(mode(), "danger")]


def context(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Unfold's hook: the variables of `admin/index.html`. Without the permission there are none, and the page says so."""
    if not request.user.has_perm(FIGURES):
        return {**context, "denied": True}
    now = datetime.now(UTC)
    recent = queries.recent(now)
    minutes = max(1, round((now - recent.since).total_seconds() / 60))
    bars = recent.bars
    dead, newest_letters = queries.letters()
    depths = queries.queue_depths()
    done = sum(bar.confirmed for bar in bars)
    return {
        **context,
        "span": f"last {minutes} min" if minutes < 120 else f"last {minutes // 60} h",
        "complete": recent.complete,
        "max_recent": queries.MAX_RECENT,
        "tiles": tiles(recent, dead, depths, minutes),
        "kinds": kinds(recent),
        "throughput": stacked([bar.confirmed for bar in bars], [bar.failed for bar in bars]),
        "max_throughput": max([bar.confirmed + bar.failed for bar in bars], default=0),
        "bar_s": round(minutes * 60 / queries.BARS),
        "latency": [curve(bars, lambda bar: bar.p50, slowest(bars)), curve(bars, lambda bar: bar.p95, slowest(bars))],
        "max_latency": slowest(bars),
        "venues": venues(recent.venues, done),
        "depths": depths,
        "executors": [
            {
                "row": row,
                "age": age(row.heartbeat_at, now),
                "well": (now - row.heartbeat_at).total_seconds() < HEARTBEAT_LATE_S,
            }
            for row in queries.executors()
        ],
        "quotes": quotes(now),
        "dead": dead,
        "dead_more": dead >= queries.MAX_LETTERS,
        "letters": newest_letters,
        "book": queries.resting_book(),
        "max_book": queries.MAX_OPEN,
    }


def age(at: datetime, now: datetime) -> str:
    seconds = (now - at).total_seconds()
    if seconds < 10:
        return f"{max(0.0, seconds):.1f} s"
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.0f} h"
    )


def tiles(recent: queries.Recent, dead: int, depths: dict[str, int] | None, minutes: int) -> list[dict[str, Any]]:
    open_orders = queries.open_orders()
    resting = sum(n for *_, is_resting, n in open_orders if is_resting)
    working = sum(n for *_, is_resting, n in open_orders if not is_resting)
    ended = {status: sum(n for (_, s), n in recent.kinds.items() if s == status) for status in FINAL}
    tried = ended[Status.CONFIRMED] + ended[Status.FAILED]
    rate = f"{100 * ended[Status.CONFIRMED] / tried:.1f} %" if tried else "–"
    waiting = "away" if depths is None else sum(depths.values())
    failed_often = tried and ended[Status.FAILED] > tried / 20
    return [
        tile("Orders at all", f"{queries.orders_at_all():,}", "beyond 10,000 estimated", link=ORDERS),
        tile("In execution", f"{working:,}", "pending to submitted", link=ORDERS, query="?status=open"),
        tile("Resting", f"{resting:,}", "wait for their trigger", link=ORDERS, query="?status=resting"),
        tile("Confirmed", f"{ended[Status.CONFIRMED]:,}", f"{ended[Status.CONFIRMED] / minutes:.1f} a minute"),
        tile("Success", rate, f"{ended[Status.FAILED]:,} failed", bad=failed_often),
        tile("Dead letters", f"{dead:,}", "not dealt with", bad=dead > 0, link="admin:orders_deadletter_changelist"),
        tile("Messages", waiting, "wait in all queues", bad=waiting == "away"),
    ]


def tile(name: str, value: object, note: str, **more: object) -> dict[str, Any]:
    """`more`: `bad` marks it, `link` names the page it leads to, with `query`."""
    return {"name": name, "value": value, "note": note, **more}


def kinds(recent: queries.Recent) -> list[dict[str, Any]]:
    """One row for each status that has orders, one column for each type."""
    found = []
    for status in Status:
        counts = [recent.kinds.get((kind.value, status.value), 0) for kind in OrderType]
        if sum(counts):
            found.append(
                {
                    "status": status.value,
                    "counts": counts,
                    "sum": sum(counts),
                    "share": 100 * sum(counts) / max(1, recent.orders),
                }
            )
    return found


def venues(shares: dict[str, int], done: int) -> list[dict[str, Any]]:
    try:
        states = price_store().venue_states()
    except redis.RedisError:
        states = {}
    names = sorted({*shares, *states})
    total = max(1, sum(shares.values()))
    return [
        {
            "name": name,
            "orders": shares.get(name, 0),
            "share": 100 * shares.get(name, 0) / total,
            "state": states.get(name, "unknown"),
        }
        for name in names
    ]


def quotes(now: datetime) -> list[dict[str, Any]]:
    """The age of each listed pair's quotes."""
    try:
        markets = price_store().read(settings.POLL_PAIRS)
    except redis.RedisError:
        return []
    return [
        {
            "pair": pair,
            "venue": market.best and market.best.venue,
            "price": market.best and f"{SHOWN.plus(market.best.net_price).normalize():f}",
            "age": age(market.seen_at, now),
            "fresh": (now - market.seen_at).total_seconds() * 1000 <= settings.QUOTE_MAX_AGE_MS,
        }
        for pair, market in markets.items()
    ]


def slowest(bars: Sequence[queries.Bar]) -> float:
    return max([bar.p95 or 0.0 for bar in bars], default=0.0)


def stacked(lower: Sequence[int], upper: Sequence[int]) -> list[dict[str, float]]:
    """Bars of an SVG: rectangles of `lower`, those of `upper` stacked on top."""
    most = max([a + b for a, b in zip(lower, upper, strict=True)], default=0) or 1
    wide = WIDTH / len(lower)
    return [
        {
            "x": round(n * wide + 1, 1),
            "width": round(wide - 2, 1),
            "y": round(HEIGHT - HEIGHT * a / most, 1),
            "height": round(HEIGHT * a / most, 1),
            "upper_y": round(HEIGHT - HEIGHT * (a + b) / most, 1),
            "upper_height": round(HEIGHT * b / most, 1),
        }
        for n, (a, b) in enumerate(zip(lower, upper, strict=True))
    ]


def curve(bars: Sequence[queries.Bar], value: Callable[[queries.Bar], float | None], most: float) -> str:
    """The points of an SVG polyline through the slices that have a value."""
    wide = WIDTH / len(bars)
    points = [(n, value(bar)) for n, bar in enumerate(bars)]
    return " ".join(
        f"{(n + 0.5) * wide:.1f},{HEIGHT - HEIGHT * 0.94 * y / (most or 1):.1f}" for n, y in points if y is not None
    )
