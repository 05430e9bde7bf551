"""Switches one guard of the engine off, named by GUARD_OFF. Python imports it at its start where PYTHONPATH leads here.

Only `tests.chaos.mutations` leads it here: it shows that the suite notices. The engine itself knows nothing of it.
"""

import importlib.abc
import importlib.util
import inspect
import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import account_stream  # type: ignore[import-not-found]
import exact_out  # type: ignore[import-not-found]
import going_live  # type: ignore[import-not-found]
import plan_edges  # type: ignore[import-not-found]
import rate_limits  # type: ignore[import-not-found]
import real_chain  # type: ignore[import-not-found]
import risk_statements  # type: ignore[import-not-found]
import split  # type: ignore[import-not-found]
import verdict  # type: ignore[import-not-found]


def no_fence(ledger: Any) -> None:
    """A write that was refused passes for written: a previous owner goes on with the order."""
    from datetime import UTC, datetime

    record = ledger.record

    def unfenced(connection: Any, changes: Any) -> Any:
        market = ledger.Recorded(datetime.now(UTC), "market", "SOL", "USDC", *[None] * 6)
        return [row or market for row in record(connection, changes)]

    ledger.record = unfenced


def no_heartbeat_fence(worker: Any) -> None:
    """An executor that was declared crashed does not learn it."""
    assert " AND state = 'alive'" in worker.BEAT
    worker.BEAT = worker.BEAT.replace(" AND state = 'alive'", "")


def no_intent(mock: Any) -> None:
    """A transaction is sent as soon as it is signed, before it is written down."""
    build = mock.MockVenue.build

    async def build_and_send(self: Any, *arguments: Any, **named: Any) -> Any:
        swap = await build(self, *arguments, **named)
        await self._chain.submit(swap)
        return swap

    mock.MockVenue.build = build_and_send


def no_reconciler(reconcile: Any) -> None:
    """Nobody looks for what was lost."""
    reconcile.Reconciler.run = lambda self, connection: {}


def no_turn(ledger: Any) -> None:
    """Every leg of a plan that fires is taken, whoever has the turn."""
    turn = "(due.plan_id IS NULL OR due.id IN (SELECT id FROM turn))"
    assert turn in ledger.CLAIM
    ledger.CLAIM = ledger.CLAIM.replace(turn, "true")


def without(edits: list[tuple[str, str]]) -> Any:
    """A module whose text is another one: for guards that are a line within a function."""

    def change(module: Any) -> None:
        source = inspect.getsource(module)
        for there, instead in edits:
            assert there in source, f"{module.__name__} has no {there!r}"
            source = source.replace(there, instead)
        exec(compile(source, module.__file__, "exec"), module.__dict__)

    return change


def other_statements(edits: list[tuple[str, str, str]]) -> Any:
    """SQL statements with another text."""

    def change(queries: Any) -> None:
        query = queries.query

        def edited(name: str, *place: Any, **named: Any) -> str:
            text: str = query(name, *place, **named)
            for statement, there, instead in edits:
                if name == statement:
                    assert there in text, f"{name}.sql has no {there!r}"
                    text = text.replace(there, instead)
            return text

        queries.query = edited

    return change


def edited(edits: list[tuple[str, str, str]]) -> dict[str, Any]:
    return {module: without([(a, b) for name, a, b in edits if name == module]) for module, _, _ in edits}


EDITS = (
    real_chain.EDITS
    | going_live.EDITS
    | exact_out.EDITS
    | plan_edges.EDITS
    | rate_limits.EDITS
    | split.EDITS
    | account_stream.EDITS
)
GUARDS: dict[str, dict[str, Any]] = {
    "fence": {"orders.ledger.statements": no_fence, "orders.execution.worker": no_heartbeat_fence},
    "intent": {"routing.mock.venue": no_intent},
    "turn": {"orders.ledger.statements": no_turn},
    "reconciler": {"orders.recovery.reconcile": no_reconciler},
    **{guard: edited(edits) for guard, edits in EDITS.items()},
    **{
        guard: {"orders.ledger.queries": other_statements(edits)}
        for guard, edits in (risk_statements.STATEMENTS | exact_out.STATEMENTS | account_stream.STATEMENTS).items()
    },
}


class After(importlib.abc.MetaPathFinder):
    """Changes a module once it is loaded."""

    def __init__(self, name: str, change: Any) -> None:
        self.name, self.change = name, change

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != self.name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        assert spec is not None and spec.loader is not None
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            self.change(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


WATCHED = {"psycopg.errors": verdict.watch_statements}
"""What Postgres does not understand is no proof that a guard is missed."""
for module_name, change in (GUARDS[os.environ["GUARD_OFF"]] | WATCHED).items():
    sys.meta_path.insert(0, After(module_name, change))
