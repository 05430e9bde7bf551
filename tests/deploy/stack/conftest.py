"""Keeps this tier out of a plain `pytest`: it takes minutes and needs Debian's packages."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.deploy.machine.alerts import Watch
from tests.deploy.machine.machine import Machine, lacking
from tests.deploy.machine.server import Server

Say = Callable[[str], None]
FOLDER = Path(__file__).resolve().parent


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    named = (Path(argument.partition("::")[0]).resolve() for argument in config.args)
    return None if any(path == FOLDER or FOLDER in path.parents for path in named) else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of the server go last: this thread stays in that machine's network, which reaches no package index."""
    items.sort(key=lambda item: "server" in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """One for all tests of `test_server_*`, which follow each other and leave it as they found it, but for what they say."""
    if reason := lacking():
        pytest.skip(reason)
    machine = Machine()
    try:
        machine.start()
        with machine.network(), tempfile.TemporaryDirectory(prefix="orderengine-wheels-") as folder:
            server = Server(machine)
            server.set_up(Path(folder))
            yield server
    finally:
        machine.stop()


@pytest.fixture(scope="session")
def watch(server: Server) -> Iterator[Watch]:
    """Prometheus and Alertmanager from the first test on: an archive that is refused is an alert after a quarter of an hour."""
    watch = Watch(server)
    try:
        watch.start()
        server.machine.run("chmod 500 /var/backups/orderengine/wal && chown root /var/backups/orderengine/wal")
        watch.cause("the folder of the archive refuses writes", "BackupOld")
        yield watch
    finally:
        watch.stop()


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Prints a line of the report, whatever pytest does with output."""

    def say(text: str) -> None:
        with capsys.disabled():
            print(f"\n{text}", end="")

    return say
