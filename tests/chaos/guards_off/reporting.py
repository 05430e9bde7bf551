"""Tells `verdict` how a test ended: pytest's plugin of `tests.chaos.mutations` (`-p reporting`)."""

from collections.abc import Iterator
from typing import Any

import pytest
import verdict  # type: ignore[import-not-found]

NONSENSE = (NameError, SyntaxError, ImportError)
"""What an edit that is no Python raises."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report: Any = yield
    # What is raised after the test is no more of it.
    if report.failed and call.excinfo is not None and call.when != "teardown":
        failed = call.when == "call" and not isinstance(call.excinfo.value, NONSENSE)
        verdict.note("failed" if failed else "error", call.excinfo.exconly())
    return report
