"""How well orders were executed, as values: slippage against the quote, time in each stage, venues, over time.

`sql/quality.sql` says what is measured. It looks at a bounded sample of each slice of time, so that a page costs the same with a
million orders.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.db import connection

from accounts.models import Account
from orders.ids import first_id
from orders.ledger.queries import query

SQL = Path(__file__).parent / "sql"
SLICES = 30
MOST = 200
"""Orders of a slice that are looked at, each with its events: some 30,000 rows in all."""
STAGES = ("pending", "routing", "building", "submitted")


@dataclass(frozen=True, slots=True)
class Spread:
    """Median and 95th percentile; None where nothing was measured."""

    median: float | None = None
    p95: float | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Confirmed orders that have something in common."""

    orders: int = 0
    slippage: Spread = Spread()
    """Basis points of the quoted price that were not got; below zero more was got."""
    stages: dict[str, Spread] = field(default_factory=dict)
    """Seconds in each of `STAGES`."""


@dataclass(frozen=True, slots=True)
class Quality:
    all: Group
    slices: list[Group]
    """`SLICES` of them, the oldest first."""
    venues: dict[str, Group]
    accounts: dict[str, Group]
    """By name, those with the most orders first."""
    shares: list[dict[str, int]]
    """Of each slice: venue → confirmed orders."""


def measured(since: datetime, until: datetime, *, account: Account | None = None, venue: str | None = None) -> Quality:
    """Of orders accepted within the time."""
    bounds = [first_id(since + (until - since) * n / SLICES) for n in range(SLICES + 1)]
    values: dict[str, Any] = {
        "first": bounds[:-1],
        "last": bounds[1:],
        "most": MOST,
        "account": None if account is None else account.pk,
        "venue": venue,
    }
    with connection.cursor() as cursor:
        cursor.execute(query("quality", SQL), values)
        rows = cursor.fetchall()
    slices, shares = [Group()] * SLICES, [dict[str, int]() for _ in range(SLICES)]
    everything, venues, accounts = Group(), {}, {}
    for kind, n, venue_name, account_id, orders, slippage, *stages in rows:
        group = Group(orders, spread(slippage), {name: spread(pair) for name, pair in zip(STAGES, stages, strict=True)})
        match kind:
            case "all":
                everything = group
            case "slice":
                slices[n - 1] = group
            case "venue":
                venues[venue_name] = group
            case "account":
                accounts[account_id] = group
            case _:
                shares[n - 1][venue_name] = orders
    names = dict(Account.objects.filter(pk__in=accounts).values_list("pk", "name"))
    fullest = sorted(accounts.items(), key=lambda item: -item[1].orders)
    return Quality(
        all=everything,
        slices=slices,
        venues=dict(sorted(venues.items())),
        accounts={names.get(pk, str(pk)): group for pk, group in fullest},
        shares=shares,
    )


def spread(pair: list[float | None] | None) -> Spread:
    return Spread(*pair) if pair else Spread()


def width(since: datetime, until: datetime) -> timedelta:
    """Of a slice."""
    return (until - since) / SLICES
