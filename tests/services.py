"""Pytest plugin: Postgres and Redis of this run's own, through the code that serves `make run`.

A run that names nothing but unit tests gets none: those tests need no service and are done in seconds. Where a run has
several processes (`-n`), each has its own, and the one that hands the tests out has none.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from orderengine.host import embedded
from orderengine.host.launch import PARENT

pytest_plugins = ["tests.engine"]

PREFIX = f"orderengine-test-{os.geteuid()}-"
UNIT = Path(__file__).resolve().parent / "unit"
START_S = 90
"""Without them there is no test at all, so a busy machine gets its time."""
SETTINGS = (
    "HOST",
    "PORT",
    "CELERY_BROKER_URL",
    "WORKERS_ORDERS",
    "WEB_WORKERS",
    "ALLOWED_HOSTS",
    "SECRET_KEY",
)
"""What a developer's shell may set and the tests must not see; every MOCK_… too."""


class Services:
    def __init__(self) -> None:
        self.data_dir = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
        self.children: list[tuple[subprocess.Popen[bytes], int]] = []

    def start(self) -> None:
        postgres = embedded.postgres(self.data_dir)
        redis = embedded.redis(self.data_dir)
        postgres.prepare()
        redis.prepare()
        environment = dict(os.environ) | {PARENT: str(os.getpid())}
        for command, signum in ((postgres.command(), signal.SIGINT), (redis.command(), signal.SIGTERM)):
            with (self.data_dir / f"{len(self.children)}.log").open("wb") as log:
                # In a group of its own: Ctrl-C is for pytest, which stops them when it is done with them.
                child = subprocess.Popen(command, env=environment, stdout=log, stderr=log, process_group=0)
            self.children.append((child, signum))
        end = time.monotonic() + START_S
        while not (postgres.answers() and redis.answers()):
            if time.monotonic() > end or any(child.poll() is not None for child, _ in self.children):
                said = "".join(file.read_text() for file in sorted(self.data_dir.glob("*.log")))
                raise pytest.UsageError(f"the embedded services do not start:\n{said}")
            time.sleep(0.02)
        self.announce(postgres.url, redis.url)

    def announce(self, database_url: str, redis_url: str) -> None:
        """Sets the environment of the tests."""
        for name in [name for name in os.environ if name in SETTINGS or name.startswith("MOCK_")]:
            del os.environ[name]
        os.environ |= {
            "DATA_DIR": str(self.data_dir),
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "EMBEDDED": "1",
        }

    def stop(self) -> None:
        for child, signum in self.children:
            child.send_signal(signum)
        for child, _ in self.children:
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        shutil.rmtree(self.data_dir, ignore_errors=True)


def only_unit_tests(config: pytest.Config) -> bool:
    """Whether the command line names files of `tests/unit` and nothing else."""
    named = [Path(str(each).partition("::")[0]).resolve() for each in config.known_args_namespace.file_or_dir]
    return bool(named) and all(path.is_relative_to(UNIT) for path in named)


def hands_out(config: pytest.Config) -> bool:
    """Whether this process runs no test itself but gives them to others of pytest-xdist."""
    # Nothing where the plugin is off or not installed.
    return bool(getattr(config.known_args_namespace, "numprocesses", None)) and "PYTEST_XDIST_WORKER" not in os.environ


def purge_killed_runs() -> None:
    """A run that was killed could not remove its folder."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        pid = int(folder.name.removeprefix(PREFIX).partition("-")[0])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            shutil.rmtree(folder, ignore_errors=True)
        except PermissionError:
            continue


# A wrapper: it must come before pytest-django, which reads the settings in this hook.
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, None, None]:
    # A shell starts what it runs in the background with Ctrl-C ignored, and programs under test would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with contextlib.suppress(ValueError):
        purge_killed_runs()
    services = Services()
    early_config.add_cleanup(services.stop)
    try:
        if only_unit_tests(early_config) or hands_out(early_config):
            # Addresses at which nothing answers: a unit test that needs a service fails at once.
            services.announce(f"postgresql:///none?host={services.data_dir}", f"unix://{services.data_dir}/none?db=0")
        else:
            services.start()
    except embedded.Unavailable as error:
        raise pytest.UsageError(str(error)) from None
    yield
