"""Which runs of the tests start a Postgres and a Redis."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests.services import only_unit_tests

CASES = [
    (["tests/unit"], True),
    (["tests/unit/test_ids.py", "tests/unit/test_lifecycle.py::test_the_statuses_are_the_contract"], True),
    (["tests/unit", "tests/integration/test_book.py"], False),
    (["tests"], False),
    (["tests/unit/../integration"], False),
    ([], False),
]


@pytest.mark.parametrize(("named", "only"), CASES)
def test_runs_of_unit_tests_alone_start_none(named: list[str], only: bool) -> None:
    config: Any = SimpleNamespace(known_args_namespace=SimpleNamespace(file_or_dir=named))

    assert only_unit_tests(config) is only
