"""Tells `verdict` how a test ended: pytest's plugin of `tests.chaos.mutations` (`-p reporting`)."""

from collections.abc import Iterator
from typing import Any

import pytest
import verdict  # type: ignore[import-not-found]

ASSERTED = (AssertionError, pytest.fail.Exception)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report: Any = yield
    if report.failed and call.excinfo is not None:
        asserted = call.when == "call" and isinstance(call.excinfo.value, ASSERTED)
        verdict.note("asserted" if asserted else "error", call.excinfo.exconly())
    return report
