"""The version of the engine. `pyproject.toml` is the one place where it is written."""

import tomllib
from importlib.metadata import version
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"


def found() -> str:
    """From the file beside the code; from the metadata of the package where the code was installed as one."""
    if PROJECT.exists():
        return str(tomllib.loads(PROJECT.read_text())["project"]["version"])
    return version("orderengine")


VERSION = found()
