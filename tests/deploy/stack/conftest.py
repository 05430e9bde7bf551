"""Keeps this tier out of a plain `pytest`: it takes minutes and needs Debian's packages."""

from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    named = (Path(argument.partition("::")[0]).resolve() for argument in config.args)
    return None if any(path == FOLDER or FOLDER in path.parents for path in named) else True
