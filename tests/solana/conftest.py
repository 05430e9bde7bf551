from collections.abc import AsyncIterator, Iterator

import pytest

from routing import venues
from tests.localnet.conftest import start_localnet as start_localnet
from tests.localnet.node import Localnet, running
from tests.solana.stage import Stage


@pytest.fixture(autouse=True)
def own_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """A venue that a test switches on is none of the next file's."""
    monkeypatch.setattr(venues, "_names", dict(venues._names))


@pytest.fixture(scope="module")
def node() -> Iterator[Localnet]:
    """A chain for all tests of the module: blocks by `tick`, prices that hold."""
    with running(hold="") as made:
        yield made


@pytest.fixture
async def stage(node: Localnet) -> AsyncIterator[Stage]:
    """A wallet of its own, with money, and the world of the chain."""
    made = Stage(node)
    yield made
    await made.world.close()
