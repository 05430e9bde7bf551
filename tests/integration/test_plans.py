"""What the hot statements read by the statistics of tables never analyzed: a plan is kept as long as its connection."""

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


FORGET = """
SELECT pg_clear_relation_stats('public', c.relname), (SELECT count(*) FROM pg_attribute a,
    LATERAL (SELECT pg_clear_attribute_stats('public', c.relname, a.attname, false)) x WHERE a.attrelid = c.oid AND a.attnum > 0)
FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname LIKE 'orders%'
"""


def planned(connection: Connection, statement: str) -> dict[str, Any]:
    """The generic plan. What autovacuum knows of the few rows of other tests is forgotten for the time of it."""
    with connection.transaction(force_rollback=True):
        connection.execute(FORGET)
        row = connection.execute(f"EXPLAIN (GENERIC_PLAN, FORMAT JSON) {numbered(statement)}").fetchone()
    assert row is not None
    plan: dict[str, Any] = row[0][0]["Plan"]
    return plan


@pytest.mark.parametrize("analyzed", [False, True])
@pytest.mark.parametrize("statement", [*HOT.values(), UNCLAIMED], ids=[*HOT, "UNCLAIMED"])
def test_hot_statements_read_orders_and_intents_by_key(database: Connection, statement: str, analyzed: bool) -> None:
    if analyzed:
        database.execute("ANALYZE")  # Nearly empty tables, as autovacuum may find them between two tests.
    session = Session(settings.DATABASE_URL, name="plans", statement_timeout_ms=10_000)
    found = session.run(lambda connection: planned(connection, statement))
    session.close()

    scans = [
        node
        for node in nodes(found)
        if node.get("Relation Name") in TABLES
        and node["Node Type"].endswith("Scan")
        and not ("Index Cond" in node or "Recheck Cond" in node)
    ]
    assert not scans, scans
