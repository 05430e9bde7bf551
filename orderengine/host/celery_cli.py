"""`celery -A celery_app worker|beat …`, without the rest of Celery's command line.

The whole of it imports a shell, a terminal toolkit and every plug-in command: half a second of CPU in each of six processes.
"""

import sys
from importlib import import_module

from celery.bin.base import CLIContext

from celery_app import app


def main() -> None:
    name, *arguments = sys.argv[1:]
    command = getattr(import_module(f"celery.bin.{name}"), name)
    app.set_current()
    command.main(
        args=arguments, prog_name=f"celery {name}", obj=CLIContext(app=app, no_color=True, workdir=None, quiet=True)
    )


if __name__ == "__main__":
    main()
