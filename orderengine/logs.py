"""How the processes log: one JSON object a line, readable text on a terminal; no secret, and no flood.

The modules use the standard library's `logging`; structlog renders what they say, with what is bound to the context
(`structlog.contextvars`) and with the task that is running.
"""

import logging
import re
import sys
import time
from collections.abc import MutableMapping
from typing import Any

import structlog
from celery import current_task

from runtime.process import ABOUT

Line = MutableMapping[str, Any]

REDACTED = "[redacted]"
SECRETS = re.compile(
    r"\boe_[\w-]{20,}"  # our keys
    r"|(?<=[Bb]earer )[\w.~+/=-]{8,}"
    r"|(?<=ticket=)[\w-]+"
    r"|(?<=password=)[^\s&'\"]+"
    r"|(?<=sessionid=)\w+|(?<=csrftoken=)\w+"
    r"|(?<=://)([^\s:/@]*):[^\s/@]+(?=@)"  # passwords in URLs
)
SECRET_NAMES = re.compile(r"password|secret|authorization|cookie|ticket|api_?key|token$", re.IGNORECASE)

MAX_SAME = 20
SAME_PERIOD_S = 10.0
"""More lines of one kind in this time are counted, not written: an outage says the same thousands of times a second."""


def redacted(value: Any) -> Any:
    if isinstance(value, str):
        return SECRETS.sub(lambda found: f"{found[1]}:{REDACTED}" if found[1] is not None else REDACTED, value)
    if isinstance(value, dict):
        return {name: REDACTED if SECRET_NAMES.search(str(name)) else redacted(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(inner) for inner in value]
    return value


def redact(_logger: Any, _method: str, line: Line) -> Line:
    """structlog processor, the last before the renderer."""
    for name, value in line.items():
        line[name] = REDACTED if SECRET_NAMES.search(name) else redacted(value)
    return line


def add_process_and_task(_logger: Any, _method: str, line: Line) -> Line:
    for name, value in ABOUT.items():
        line.setdefault(name, value)
    task = current_task
    if task and task.request.id:
        line.setdefault("task", task.name)
        line.setdefault("task_id", task.request.id)
    return line


class Sampler(logging.Filter):
    """Lets the first lines of a kind (logger, level, unformatted message) through; errors with a traceback always."""

    def __init__(self) -> None:
        super().__init__()
        self._since = 0.0
        self._seen: dict[tuple[str, int, str], int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        now = time.monotonic()
        if now - self._since > SAME_PERIOD_S:
            self._since, before, self._seen = now, self._seen, {}
            if dropped := sum(max(0, count - MAX_SAME) for count in before.values()):
                record.dropped_lines = dropped
        kind = (record.name, record.levelno, str(record.msg))
        self._seen[kind] = self._seen.get(kind, 0) + 1
        return self._seen[kind] <= MAX_SAME or record.exc_info is not None


def configuration(*, level: str, form: str) -> dict[str, Any]:
    """For `logging.config.dictConfig`. `form`: json, console, or auto (console on a terminal)."""
    pretty = form == "console" or form == "auto" and sys.stderr.isatty()
    renderer: list[Any] = (
        [structlog.dev.ConsoleRenderer()]
        if pretty
        else [structlog.processors.format_exc_info, redact, structlog.processors.JSONRenderer()]
    )
    shared = [
        structlog.contextvars.merge_contextvars,
        add_process_and_task,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(allow=["dropped_lines"]),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    quiet = {"handlers": [], "propagate": True, "level": "WARNING"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"sampler": {"()": Sampler}},
        "formatters": {
            "line": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": shared,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    *([redact] if pretty else []),
                    *renderer,
                ],
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["sampler"]}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # Each brings handlers of its own, which would say everything twice.
            "django": {"handlers": [], "propagate": True},
            "django.server": quiet,
            # Whoever scans the internet asks under names of his own: the answer is 400, and no traceback.
            "django.security.DisallowedHost": {"handlers": [], "propagate": False},
            "uvicorn": quiet,
            "uvicorn.error": quiet,
            "uvicorn.access": quiet,
            "axes": quiet,
            # "Task received", "Task succeeded": one line each a task would cost more than the task.
            "celery.worker.strategy": quiet,
            "celery.app.trace": quiet,
            "kombu": quiet,
            "httpx": quiet,
        },
    }
