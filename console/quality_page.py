"""The admin's page of execution quality: the values of `quality` as charts and tables."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from accounts.models import Account
from accounts.roles import FIGURES
from console.quality import MOST, SLICES, STAGES, Group, Quality, Spread, measured, width
from routing.venues import named_in_fills

SPANS = {
    "1h": ("last hour", timedelta(hours=1)),
    "1d": ("last day", timedelta(days=1)),
    "7d": ("last 7 days", timedelta(days=7)),
    "30d": ("last 30 days", timedelta(days=30)),
}
WIDTH, HEIGHT, TOP = 600, 120, 6
"""Of a chart, in the units of its SVG view box, and what stays free above."""
MAX_ACCOUNTS = 20


def page(request: HttpRequest) -> HttpResponse:
    """`?span=1h|1d|7d|30d&account=NAME&venue=NAME`; what is not known of them is said, and nothing is shown."""
    if not request.user.has_perm(FIGURES):
        raise PermissionDenied
    asked = {name: request.GET.get(name, "").replace("\0", "").strip() for name in ("span", "account", "venue")}
    span = asked["span"] if asked["span"] in SPANS else "1d"
    account = Account.objects.filter(name=asked["account"]).first() if asked["account"] else None
    venues = named_in_fills()
    unknown = ""
    if asked["account"] and account is None:
        unknown = f"There is no account {asked['account']!r}."
    elif asked["venue"] and asked["venue"] not in venues:
        unknown = f"There is no venue {asked['venue']!r}."
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": "Execution quality",
        "spans": {name: text for name, (text, _) in SPANS.items()},
        "span": span,
        "account": asked["account"],
        "venue": asked["venue"],
        "venue_names": venues,
        "unknown": unknown,
        "most": MOST,
        "slices": SLICES,
    }
    if not unknown:
        until = datetime.now(UTC)
        since = until - SPANS[span][1]
        quality = measured(since, until, account=account, venue=asked["venue"] or None)
        context |= drawn(quality) | {"width": shown_width(width(since, until)), "span_text": SPANS[span][0]}
    return render(request, "admin/quality.html", context)


def drawn(quality: Quality) -> dict[str, Any]:
    slippage = [group.slippage for group in quality.slices]
    low, high = bounds([value for each in slippage for value in (each.median, each.p95)])
    totals = [total(group) for group in quality.slices]
    venues = list(quality.venues)
    accounts = list(quality.accounts.items())
    return {
        "all": row("all", quality.all),
        "stages": STAGES,
        "slippage": {
            "median": curve([each.median for each in slippage], low, high),
            "p95": curve([each.p95 for each in slippage], low, high),
            "low": low,
            "high": high,
            "zero": level(0, low, high),
        },
        "times": stacked(
            [[group.stages.get(stage, Spread()).median or 0.0 for stage in STAGES] for group in quality.slices]
        ),
        "max_time": max(totals, default=0.0),
        "share": stacked([[share.get(venue, 0) for venue in venues] for share in quality.shares], whole=True),
        "share_names": venues,
        "venue_rows": [row(name, group, quality.all.orders) for name, group in quality.venues.items()],
        "account_rows": [row(name, group, quality.all.orders) for name, group in accounts[:MAX_ACCOUNTS]],
        "accounts_more": max(0, len(accounts) - MAX_ACCOUNTS),
    }


def total(group: Group) -> float:
    return sum(each.median or 0.0 for each in group.stages.values())


def row(name: str, group: Group, orders: int = 0) -> dict[str, Any]:
    """One line of a table; `orders`: those of which it is a share."""
    return {
        "name": name,
        "orders": group.orders,
        "share": 100 * group.orders / orders if orders else 0.0,
        "slippage": group.slippage,
        "times": [group.stages.get(stage, Spread()) for stage in STAGES],
    }


def bounds(values: Sequence[float | None]) -> tuple[float, float]:
    """Of an axis that holds zero and all values."""
    known = [value for value in values if value is not None]
    return min([0.0, *known]), max([0.0, *known])


def level(value: float, low: float, high: float) -> float:
    """The height of a value, from the chart's top."""
    return round(TOP + (HEIGHT - TOP) * (1 - (value - low) / ((high - low) or 1)), 1)


def curve(values: Sequence[float | None], low: float, high: float) -> list[str]:
    """The points of SVG polylines, one for each run of slices that have a value: a step as wide as its slice for each."""
    wide = WIDTH / len(values)
    runs: list[list[str]] = [[]]
    for n, value in enumerate(values):
        if value is None:
            runs.append([])
            continue
        y = level(value, low, high)
        runs[-1] += [f"{n * wide:.1f},{y}", f"{(n + 1) * wide:.1f},{y}"]
    return [" ".join(points) for points in runs if points]


def stacked(bars: Sequence[Sequence[float]], *, whole: bool = False) -> list[list[dict[str, float]]]:
    """The rectangles of each slice's parts, one upon another; `whole`: each bar is as high as the chart."""
    most = max((sum(bar) for bar in bars), default=0) or 1
    wide = WIDTH / len(bars)
    found = []
    for n, bar in enumerate(bars):
        scale, below, parts = (HEIGHT - TOP) / ((sum(bar) or 1) if whole else most), 0.0, []
        for value in bar:
            high = value * scale
            below += high
            parts.append(
                {
                    "x": round(n * wide + 1, 1),
                    "width": round(wide - 2, 1),
                    "y": round(HEIGHT - below, 1),
                    "height": round(high, 1),
                }
            )
        found.append(parts)
    return found


def shown_width(each: timedelta) -> str:
    minutes = each.total_seconds() / 60
    return f"{minutes:g} min" if minutes < 120 else f"{minutes / 60:g} h"


View = Callable[[HttpRequest], HttpResponse]
view: View = admin.site.admin_view(page)
"""For whoever is let into the admin; the page itself asks for the permission."""
