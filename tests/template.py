"""A data folder as an engine's first start leaves it, made once a run; the engines of tests start on copies of it.

A first start makes the cluster, the schema and the first credentials: half of the CPU that an engine costs until it is
ready. That it works is for `tests/integration/test_supervision.py` to show, and for whatever asks for a `fresh` engine.
"""

import atexit
import functools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from orderengine.host import embedded
from orderengine.host.launch import PARENT
from orderengine.host.processes import BASE_DIR

START_S = 60
PREFIX = f"orderengine-test-{os.geteuid()}-{os.getpid()}-"
"""The next run removes folders of this name whose process is gone (`tests.services`)."""


def lay(data_dir: Path) -> None:
    """Fills an empty data folder."""
    subprocess.run(["cp", "-a", f"{template()}/.", str(data_dir)], check=True)


def remove(data: Path, owner: int) -> None:
    """A fork of a test that ends as a program does must not take the others' template with it."""
    if os.getpid() == owner:
        shutil.rmtree(data, ignore_errors=True)


@functools.cache
def template() -> Path:
    data = Path(tempfile.mkdtemp(prefix=PREFIX))
    atexit.register(remove, data, os.getpid())
    run_dir = embedded.private_folder(data / "run")
    postgres, redis = embedded.postgres(data), embedded.redis(data)
    postgres.prepare()
    redis.prepare()
    environment = {
        "PATH": os.environ["PATH"],
        "DATA_DIR": str(data),
        "DATABASE_URL": postgres.url,
        "REDIS_URL": redis.url,
        "EMBEDDED": "1",
        "DJANGO_SETTINGS_MODULE": "orderengine.settings",
        PARENT: str(os.getpid()),
    }
    server = subprocess.Popen(
        postgres.command(), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=0
    )
    try:
        end = time.monotonic() + START_S
        while not postgres.answers():
            assert time.monotonic() < end and server.poll() is None, "the template's Postgres does not start"
            time.sleep(0.02)
        command = [sys.executable, "manage.py", "prepare", "--no-wait"]
        done = subprocess.run(command, cwd=BASE_DIR, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(START_S)
    shutil.rmtree(run_dir)
    return data
