"""The acceptance suite with RabbitMQ as the broker: `python -m tests.acceptance.on_rabbitmq [PYTEST ARGUMENT …]`.

Every engine of the run uses one broker that is started for it (Debian's package); Redis does the rest.
"""

import os
import subprocess
import sys

from tests.acceptance.test_rabbitmq import RabbitMQ

DEFAULT = ("tests/acceptance", "--ignore=tests/acceptance/test_rabbitmq.py")


def main() -> int:
    broker = RabbitMQ()
    try:
        broker.start()
        command = [sys.executable, "-m", "pytest", *(sys.argv[1:] or DEFAULT)]
        return subprocess.run(command, env=os.environ | {"TEST_BROKER_URL": broker.url}).returncode
    finally:
        broker.remove()


if __name__ == "__main__":
    sys.exit(main())
