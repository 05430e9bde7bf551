"""Starts Flower behind the administrator's name and password, which no command line shows."""

import json
import os
import sys
from pathlib import Path

from celery.__main__ import main as celery
from flower.views.monitor import Metrics
from tornado.web import authenticated

from orderengine import secret_files

MAX_TASKS = "10000"
"""Tasks that it remembers, some 4 KB each: with its own default of 100,000 it grows to half a gigabyte in an hour of load."""


def basic_auth() -> str:
    """FLOWER_BASIC_AUTH (name:password), else the administrator's of this data folder.

    Raises `ValueError`, `OSError` or `KeyError` rather than leave Flower open.
    """
    if given := os.environ.get("FLOWER_BASIC_AUTH"):
        if not given.partition(":")[2]:
            raise ValueError("FLOWER_BASIC_AUTH must be name:password")
        return given
    admin = json.loads((Path(os.environ.get("DATA_DIR") or ".data") / "credentials.json").read_text())["admin"]
    return f"{admin['username']}:{admin['password']}"


def ask_for_password_everywhere() -> None:
    """Flower answers `/metrics` to everybody, and it names tasks and workers."""
    Metrics.get = authenticated(Metrics.get)


def main() -> None:
    secret_files.load()
    os.environ["FLOWER_BASIC_AUTH"] = basic_auth()
    host = os.environ.get("FLOWER_HOST") or "127.0.0.1"
    # Workers send their events unasked; Flower would wake all of them every five seconds to ask.
    address = [
        "--enable_events=False",
        f"--address={host}",
        f"--port={os.environ.get('FLOWER_PORT') or int(os.environ.get('PORT') or 8000) + 1}",
        "--url_prefix=flower",
    ]
    ask_for_password_everywhere()
    os.environ.setdefault("FLOWER_MAX_TASKS", MAX_TASKS)
    sys.argv = ["celery", "-A", "celery_app", "flower", *address]
    celery()


if __name__ == "__main__":
    main()
