import shutil
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.localnet.conftest import start_localnet as start_localnet
from tests.localnet.node import Localnet
from tests.solana.stage import Stage


@pytest.fixture(scope="module")
def node() -> Iterator[Localnet]:
    """A chain for all tests of the module: blocks by `tick`, prices that hold."""
    made = Localnet(hold="").start()
    yield made
    made.stop()
    shutil.rmtree(made.folder, ignore_errors=True)


@pytest.fixture
async def stage(node: Localnet) -> AsyncIterator[Stage]:
    """A wallet of its own, with money, and the world of the chain."""
    made = Stage(node)
    yield made
    await made.world.close()
