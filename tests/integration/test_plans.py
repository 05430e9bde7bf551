"""What the hot statements read, on a database that has never been analyzed: their plans are kept for as long as a connection."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings

from orders.ledger import statements
from orders.ledger.session import Session
from orders.ledger.statements import Connection
from orders.recovery.reconcile import UNCLAIMED

TYPES = {"executor": "::uuid", "most": "::int"}
TABLES = {"orders_plan", "orders_order", "orders_transaction", "orders_orderevent"}


def numbered(statement: str) -> str:
    """With `$1` for psycopg's names, as it prepares them."""
    names: list[str] = []

    def number(found: re.Match[str]) -> str:
        if found[1] not in names:
            names.append(found[1])
        return f"${names.index(found[1]) + 1}{TYPES.get(found[1], '')}"

    return re.sub(r"%\((\w+)\)s", number, statement)


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


HOT = {name: getattr(statements, name) for name in ("ACCEPT", "EARLIER", "CLAIM", "RECORD")}


@pytest.mark.parametrize("statement", [*HOT.values(), UNCLAIMED], ids=[*HOT, "UNCLAIMED"])
def test_hot_statements_read_orders_and_intents_by_key(database: Connection, statement: str) -> None:
    session = Session(settings.DATABASE_URL, name="plans", statement_timeout_ms=10_000)
    explain = f"EXPLAIN (GENERIC_PLAN, FORMAT JSON) {numbered(statement)}"
    [[[found]]] = session.run(lambda connection: connection.execute(explain).fetchall())
    session.close()

    scans = [
        node
        for node in nodes(found["Plan"])
        if node.get("Relation Name") in TABLES
        and node["Node Type"].endswith("Scan")
        and not ("Index Cond" in node or "Recheck Cond" in node)
    ]
    assert not scans, scans
