"""What real chains need costs the mock nothing: none of its processes loads it."""

import os
import subprocess
import sys
from pathlib import Path

from orderengine.host.processes import BASE_DIR

LOADS = """
import sys, django
django.setup()
import orderengine.asgi, orders.tasks, triggers.tasks
from routing.world import world
world()
print(*sorted({name.partition(".")[0] for name in sys.modules} & {"solders", "aiohttp", "solana", "localnet"}))
"""


def test_no_process_of_the_mock_loads_what_signs_and_speaks_with_chains(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path), "EXECUTION_MODE": "mock"}
    environment["DJANGO_SETTINGS_MODULE"] = "orderengine.settings"
    done = subprocess.run([sys.executable, "-c", LOADS], cwd=BASE_DIR, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
