"""The console script of the installed package.

orderengine run                 everything, as `make run` does it, in the present folder
orderengine web|orders|…        one process of it, as a service manager starts it
orderengine manage COMMAND …    `manage.py COMMAND …`
"""

import os
import sys
from pathlib import Path


def main() -> int:
    # Relative to where it is called: the package's own folder is not for data.
    os.environ["DATA_DIR"] = str(Path(os.environ.get("DATA_DIR") or ".data").expanduser().absolute())
    match sys.argv[1:]:
        case ["run"]:
            from orderengine import __main__ as supervisor

            sys.argv = ["orderengine"]
            return supervisor.main()
        case ["manage", *arguments]:
            from orderengine.host.processes import BASE_DIR

            os.execv(sys.executable, [sys.executable, str(BASE_DIR / "manage.py"), *arguments])
        case [name] if not name.startswith("-"):
            from orderengine import container

            return container.main()
    print(
        __doc__
        if sys.argv[1:] in (["--help"], ["-h"])
        else "orderengine: run, manage COMMAND, or a process: see --help"
    )
    return 0 if sys.argv[1:] in (["--help"], ["-h"]) else 2
