"""One engine for the tests that only need one whose mock world answers at once. The schema's come last: they send anything."""

from collections.abc import Iterator

import pytest

from tests.engine import Engine


@pytest.fixture(scope="package")
def engine() -> Iterator[Engine]:
    with Engine(MOCK_LATENCY="0").running() as engine:
        yield engine
