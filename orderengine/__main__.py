"""`python -m orderengine`: the whole engine in the foreground."""

import argparse
import os
import signal
import sys
import warnings

if os.environ.get("PYTHONWARNINGS"):
    # What a shell asks of its own programs must not keep ours from importing their packages.
    warnings.resetwarnings()
    warnings.simplefilter("ignore")

from orderengine.host import embedded, listening, supervise  # noqa: E402
from orderengine.host.launch import die_with_parent  # noqa: E402
from orderengine.host.signals import Signals, Stopped  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m orderengine", description=__doc__)
    parser.add_argument("--die-with-parent", action="store_true", help="stop when the parent process ends")
    options = parser.parse_args()
    signals = Signals()
    if options.die_with_parent:
        os.environ.pop("ORDERENGINE_PARENT", None)
        die_with_parent(signal.SIGTERM)
    try:
        return supervise.Engine(os.environ, signals).run()
    except Stopped:
        return 0
    except (supervise.Refused, embedded.Unavailable, listening.Taken, ValueError, OSError) as error:
        print(f"orderengine: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
