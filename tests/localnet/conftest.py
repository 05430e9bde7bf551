import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.localnet.node import Localnet, running


@pytest.fixture
def start_localnet() -> Iterator[Callable[..., Localnet]]:
    started: list[Localnet] = []

    def start(folder: Path | None = None, **options: object) -> Localnet:
        made = Localnet(folder, **options)  # type: ignore[arg-type]
        started.append(made)
        return made.start()

    yield start
    for each in started:
        each.stop()
        shutil.rmtree(each.folder, ignore_errors=True)


@pytest.fixture(scope="module")
def localnet() -> Iterator[Localnet]:
    """One for all tests of the module: blocks by `tick`, prices that hold."""
    with running(hold="") as made:
        yield made
