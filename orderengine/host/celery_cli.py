"""`celery -A celery_app worker|beat …`, without the other parts of Celery's command line.

All of it imports a shell, a terminal toolkit and every plug-in command: half a second of CPU in each of six processes.
"""

import logging
import sys
import warnings
from importlib import import_module
from typing import Any

from celery.apps import worker
from celery.bin.base import CLIContext

from celery_app import app

log = logging.getLogger("celery.worker")


def say(text: str, *_: Any, **__: Any) -> None:
    """In place of Celery's own words at a stop, which would stand on their own line among JSON."""
    log.info("%s", text.strip())


def main() -> None:
    name, *arguments = sys.argv[1:]
    worker.safe_say = say
    # Only JSON is read from the broker, so no message can run code as whoever starts us.
    warnings.filterwarnings("ignore", message="You're running the worker with superuser privileges")
    command = getattr(import_module(f"celery.bin.{name}"), name)
    app.set_current()
    command.main(
        args=arguments, prog_name=f"celery {name}", obj=CLIContext(app=app, no_color=True, workdir=None, quiet=True)
    )


if __name__ == "__main__":
    main()
