from collections.abc import AsyncIterator

import pytest

from tests.acceptance.client import Client
from tests.engine import Engine


@pytest.fixture
async def client(engine: Engine) -> AsyncIterator[Client]:
    async with Client(engine) as client:
        yield client
