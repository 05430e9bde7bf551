"""The mutation checks name lines of the engine: where one has changed, its check would fail by itself and prove nothing."""

import importlib
import inspect

import pytest

from orderengine.host.processes import BASE_DIR
from tests.chaos.guards_off import exact_out, going_live, rate_limits, real_chain, risk_statements, split
from tests.chaos.mutations import TESTS, TRIALS

EDITED = {**real_chain.EDITS, **going_live.EDITS, **exact_out.EDITS, **rate_limits.EDITS, **split.EDITS}
STATEMENTS = {**risk_statements.STATEMENTS, **exact_out.STATEMENTS}
PLACES = [(guard, module, there) for guard, edits in EDITED.items() for module, there, _ in edits]


@pytest.mark.parametrize(("guard", "module", "there"), PLACES)
def test_what_is_switched_off_is_there(guard: str, module: str, there: str) -> None:
    assert there in inspect.getsource(importlib.import_module(module)), guard


@pytest.mark.parametrize("guard", list(STATEMENTS))
def test_what_is_switched_off_of_a_statement_is_there(guard: str) -> None:
    for statement, there, _ in STATEMENTS[guard]:
        assert any(there in file.read_text() for file in BASE_DIR.glob(f"[a-z]*/**/{statement}.sql")), guard


def test_every_guard_has_a_test() -> None:
    assert TESTS.keys() | TRIALS.keys() >= EDITED.keys() | STATEMENTS.keys()
