"""Set-up says what is missing before it installs anything."""

import importlib.util
import platform
import re
from pathlib import Path
from types import ModuleType

import pytest

FILE = Path(__file__).resolve().parent.parent.parent / "scripts" / "setup.py"


@pytest.fixture
def setup(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("setup_script", FILE)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in module.URLS:
        monkeypatch.delenv(name, raising=False)
    return module


def names(text: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE))


def test_the_whole_lock_is_installed_here(setup: ModuleType) -> None:
    assert names(setup.packages("requirements.lock")) > set(setup.EMBEDDED)


MACHINES = [
    ("Linux", "riscv64", ("glibc", "2.36"), "Linux on riscv64"),
    ("Linux", "x86_64", ("", ""), "Linux without glibc"),
    ("Linux", "aarch64", ("glibc", "2.17"), "glibc 2.17"),
    ("FreeBSD", "amd64", ("", ""), "FreeBSD on amd64"),
]


@pytest.mark.parametrize(("system", "machine", "libc", "said"), MACHINES)
def test_a_machine_without_wheels_of_the_services_gets_the_remedy(
    setup: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    system: str,
    machine: str,
    libc: tuple[str, str],
    said: str,
) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(platform, "libc_ver", lambda: libc)

    with pytest.raises(SystemExit):
        setup.packages("requirements.lock")
    text = capsys.readouterr().err
    assert said in text and "set DATABASE_URL and REDIS_URL" in text and text.count("\n") == 1

    monkeypatch.setenv("DATABASE_URL", "postgresql:///orders")
    monkeypatch.setenv("REDIS_URL", "redis://localhost/0")
    assert names(setup.packages("requirements.lock")) & set(setup.EMBEDDED) == set()
    assert len(names(setup.packages("requirements.lock"))) > 50
    with pytest.raises(SystemExit):  # Tests always bring services of their own.
        setup.packages("requirements-dev.lock")


@pytest.mark.parametrize("machine", ["x86_64", "aarch64", "arm64"])
@pytest.mark.parametrize("system", ["Linux", "Darwin"])
def test_machines_with_wheels_get_everything(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch, system: str, machine: str
) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", "2.28") if system == "Linux" else ("", ""))

    assert setup.without_wheels() == ""


@pytest.mark.parametrize(("here", "word"), [((3, 10), "too old"), ((3, 15), "newer than the packages it needs")])
def test_another_python_is_refused_before_anything_is_made(
    setup: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    here: tuple[int, int],
    word: str,
) -> None:
    monkeypatch.setattr(setup, "on_path", lambda: ["/usr/bin/python3"])
    monkeypatch.setattr(setup, "version", lambda program: here)
    monkeypatch.setattr(setup.sys, "version_info", here)

    with pytest.raises(SystemExit):
        setup.choose()
    assert capsys.readouterr().err == (
        f"setup: Python 3.{here[1]} is {word}: install Python 3.11 to 3.14 (as python3.12 on PATH, for example)\n"
    )


@pytest.mark.parametrize("number", [(3, 11), (3, 12), (3, 13), (3, 14)])
def test_every_python_from_3_11_to_3_14_is_taken(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch, number: tuple[int, int]
) -> None:
    monkeypatch.setattr(setup, "on_path", lambda: ["/opt/python"])
    monkeypatch.setattr(setup, "version", lambda program: number)
    monkeypatch.setattr(setup, "asked", lambda program, code: "able")

    assert setup.choose() == "/opt/python"
