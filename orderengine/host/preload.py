"""What the engine's Python processes have in common, imported once by supervisord and shared by the children that it forks.

A child of its own would import the same for a second of CPU and keep 60 MB of its own. Only on Linux, and only while nothing
that was imported has started a thread or opened a file: a fork would inherit half of it.
"""

import atexit
import contextlib
import ctypes
import gc
import importlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from orderengine.environment import KEYS_OF_WALLETS
from orderengine.host import launch
from orderengine.host.embedded.place import LAUNCH

log = logging.getLogger(__name__)

MODULES = (
    "billiard.pool",
    "celery.app.amqp",
    "celery.app.control",
    "celery.app.events",
    "celery.app.log",
    "celery.apps.beat",
    "celery.apps.worker",
    "celery.backends.base",
    "celery.bin.beat",
    "celery.bin.worker",
    "celery.contrib.django.task",
    "celery.events.dispatcher",
    "celery.worker.components",
    "celery.worker.consumer",
    "celery.worker.autoscale",
    "celery.worker.strategy",
    "celery.concurrency.thread",
    "channels_redis.pubsub",
    "kombu.transport.redis",
    "orderengine.asgi",
    "orderengine.beat",
    "orderengine.host.celery_cli",
    "orderengine.host.server.__main__",
    "uvicorn.lifespan.on",
    "uvicorn.loops.uvloop",
    "webhooks.__main__",
    "webhooks.sender",
    "webhooks.post",
)
"""Beside what Celery's tasks import."""
OF_MODE = {"mock": "routing.mock.world"}
COMMAND_LINES = {
    "worker": ["-Q", "dbsync", "-P", "threads", "-c", "4", "-n", "x", "--heartbeat-interval=4", "--loglevel=info"],
    "beat": ["-S", "x", "--pidfile=", "--loglevel=info"],
}
"""Read once beforehand."""
SHARING = frozenset({"orderengine.host.celery_cli", "orderengine.host.flower", "orderengine.host.server", "webhooks"})
"""Modules with a `main()` that run in a fork; every other command is started anew."""
STARTS_THREADS = ("SENTRY_DSN", "OTEL_EXPORTER_OTLP_ENDPOINT")
"""Variables that have the settings start a client with threads of its own."""
NOT_SHARED = (*STARTS_THREADS, *KEYS_OF_WALLETS)
"""What leads to wallets' keys is for processes that sign only: every fork would have it in its memory."""
PR_SET_NAME = 15


class Preload:
    """`done` means that children are forked with everything imported; before it, and where it failed, they are started anew."""

    def __init__(self) -> None:
        self.tried = False
        self.done = False

    def load(self) -> None:
        """Never raises: what cannot be imported here fails in each process by itself, where its log says so."""
        self.tried = True
        if sys.platform != "linux" or any(os.environ.get(name) for name in NOT_SHARED):
            return
        gc.disable()
        before = descriptors()
        try:
            load_all()
        except BaseException:
            log.exception("processes import for themselves")
            return
        finally:
            gc.enable()
        opened = descriptors() - before
        if opened or len(os.listdir("/proc/self/task")) > 1:
            log.error("processes import for themselves: imports opened %s or started a thread", sorted(opened))
            return
        # The collector would write to every object's head, and so copy its page in each child. No collection before it: it
        # would leave holes all over the pages, and children would fill them.
        gc.freeze()
        self.done = True

    def become(self, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        """In a fork, in place of exec: becomes the process that the launch command names. Returns where it is none to share."""
        if not self.done or str(LAUNCH) not in argv:
            return
        command = argv[argv.index("--") + 1 :]
        if list(command[:2]) != [sys.executable, "-m"] or command[2] not in SHARING:
            return
        run(list(argv[argv.index(str(LAUNCH)) + 1 :]), environment)


def descriptors() -> set[str]:
    return {os.readlink(file) for file in Path("/proc/self/fd").iterdir() if file.exists()}


def load_all() -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orderengine.settings")
    from celery_app import app

    django.setup()
    app.loader.import_default_modules()
    for name in MODULES:
        importlib.import_module(name)
    from django.conf import settings
    from django.urls import get_resolver

    if module := OF_MODE.get(settings.EXECUTION_MODE):
        importlib.import_module(module)
    assert get_resolver().url_patterns
    rehearse()


def rehearse() -> None:
    """Does what every process would do once after its fork: what that writes to is shared then, 7 MB a process. Opens nothing."""
    import redis
    from celery.bin.base import CLIContext
    from celery.fixups.django import DjangoWorkerFixup

    from celery_app import app

    app.finalize()
    context = CLIContext(app=app, no_color=True, workdir=None, quiet=True)
    for name, arguments in COMMAND_LINES.items():
        command = getattr(importlib.import_module(f"celery.bin.{name}"), name)
        command.make_context(name, list(arguments), obj=context).close()
    redis.ConnectionPool().make_connection()
    # Django is set up already; a second time would configure every logger anew.
    DjangoWorkerFixup.django_setup = lambda self: None


def run(arguments: list[str], environment: Mapping[str, str]) -> NoReturn:
    """What exec and the interpreter's start would have done; ends the process."""
    signal.set_wakeup_fd(-1)
    for each in (signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR2):
        signal.signal(each, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(environment)
    code = 1
    try:
        command = launch.ready(arguments)
        name_process(arguments[1], command)
        module = command[2]
        sys.argv = [module, *command[3:]]
        spec = find_spec(module)
        if spec is not None and spec.submodule_search_locations is not None:
            module += ".__main__"
        importlib.import_module(module).main()
        code = 0
    except SystemExit as end:
        code = exit_code(end.code)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finish(code)


def exit_code(said: object) -> int:
    """As the interpreter reads what `sys.exit` was given."""
    if said is None:
        return 0
    if isinstance(said, int):
        return said & 0xFF
    print(said, file=sys.stderr)
    return 1


def finish(code: int) -> NoReturn:
    """The interpreter's end, without the end of objects that belong to supervisord."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
    finally:
        os._exit(code)


def name_process(name: str, command: Sequence[str]) -> None:
    """For ps and top: the name, and the command over supervisord's own, as far as there is room."""
    ctypes.CDLL(None).prctl(PR_SET_NAME, name.encode()[:15], 0, 0, 0)
    with contextlib.suppress(OSError, ValueError, IndexError):
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        start, end = int(fields[45]), int(fields[46])  # arg_start and arg_end, fields 48 and 49 of proc(5)
        room = end - start
        if room > 0:
            text = b"\0".join([b"orderengine: " + name.encode(), *(each.encode() for each in command[1:])])
            ctypes.memmove(start, text[: room - 1].ljust(room, b"\0"), room)
