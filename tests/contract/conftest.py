from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from routing.venue import Venue
from tests.contract.kits import CHAINS, VENUES, Kit


@pytest.fixture(params=CHAINS)
async def kit(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Kit]:
    """Every chain in turn."""
    made = CHAINS[request.param](tmp_path)
    yield made
    await made.chain.close()


@pytest.fixture(params=VENUES)
async def stage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Kit, Venue]]:
    """Every venue in turn, with the kit that moves its world."""
    make, name = VENUES[request.param]
    made = make(tmp_path)
    yield made, made.venue(name)
    await made.chain.close()
