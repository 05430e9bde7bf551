"""Secrets from files: `NAME_FILE` names a file whose content becomes the variable `NAME`, as containers mount them."""

import os
from pathlib import Path

NAMES = (
    "SECRET_KEY",
    "DATABASE_URL",
    "REDIS_URL",
    "CELERY_BROKER_URL",
    "SENTRY_DSN",
    "FLOWER_BASIC_AUTH",
)


def load() -> None:
    """Raises `ValueError` for a file that cannot be read or is empty. What is set itself wins."""
    for name in NAMES:
        file = os.environ.get(f"{name}_FILE")
        if not file or os.environ.get(name):
            continue
        try:
            value = Path(file).read_text().strip()
        except OSError as error:
            raise ValueError(f"{name}_FILE: {file} cannot be read ({error.strerror})") from None
        if not value:
            raise ValueError(f"{name}_FILE: {file} is empty")
        os.environ[name] = value
