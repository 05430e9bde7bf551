"""Unit tests have no database: the tokens are those that come with the mock."""

from collections.abc import Iterator

import pytest

from routing.mock.tokens import REGISTRY
from routing.world import registry


@pytest.fixture(scope="package", autouse=True)
def tokens_of_the_mock() -> Iterator[None]:
    registry.fix(REGISTRY)
    yield
    registry.close()
