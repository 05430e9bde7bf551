"""How the processes log: one JSON object a line, readable text on a terminal; no secret, no flood, one line a record.

The modules use the standard library's `logging`; structlog renders the records, with what is bound to the context
(`structlog.contextvars`) and with the task that is running.
"""

import logging
import logging.config
import re
import sys
import threading
import time
import unicodedata
from collections.abc import MutableMapping
from types import TracebackType
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
    r"|(?<=api-key=)[\w-]+|(?<=api_key=)[\w-]+|(?<=apikey=)[\w-]+"  # in the addresses of nodes
    r"|(?<=password=)[^\s&'\"]+"
    r"|(?<=sessionid=)\w+|(?<=csrftoken=)\w+"
    r"|(?<=://)([^\s:/@]*):[^\s/@]+(?=@)"  # passwords in URLs
)
SECRET_NAMES = re.compile(r"password|secret|authorization|cookie|ticket|api_?key|token$", re.IGNORECASE)
PLAIN = (bool, int, float, type(None))

MAX_SAME = 20
SAME_PERIOD_S = 10.0
"""More lines of one kind in this time are counted, not written: an outage says the same thousands of times a second."""
MAX_REFUSAL = 200
"""Characters of what a refused request's header is quoted with."""

crashes = logging.getLogger("orderengine.crash")


def redacted(value: Any) -> Any:
    """The value without secrets; what is no plain value as its text."""
    if isinstance(value, str):
        return SECRETS.sub(lambda found: f"{found[1]}:{REDACTED}" if found[1] is not None else REDACTED, value)
    if isinstance(value, dict):
        return {
            redacted(str(name)): REDACTED if SECRET_NAMES.search(str(name)) else redacted(inner)
            for name, inner in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [redacted(inner) for inner in value]
    return value if isinstance(value, PLAIN) else redacted(repr(value))


def redact(_logger: Any, _method: str, line: Line) -> Line:
    """structlog processor. After it, everything in the line is a plain value, a list or a dict."""
    for name, value in line.items():
        line[name] = REDACTED if SECRET_NAMES.search(name) else redacted(value)
    return line


def escaped(text: str) -> str:
    """Control characters as escapes: an ESC would steer the reader's terminal, a line break would forge a line."""
    if text.isprintable():
        return text
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp", "Cs") else char
        for char in text
    )


def escape(value: Any) -> Any:
    if isinstance(value, str):
        return escaped(value)
    if isinstance(value, dict):
        return {escaped(name): escape(inner) for name, inner in value.items()}
    return [escape(inner) for inner in value] if isinstance(value, list) else value


def escape_for_terminals(_logger: Any, _method: str, line: Line) -> Line:
    """structlog processor. A traceback keeps its lines, indented, so that none of them passes for a record."""
    for name, value in line.items():
        if name == "exception":
            line[name] = "\n".join("    " + escaped(part) for part in str(value).split("\n"))
        else:
            line[name] = escape(value)
    return line


def redact_text(_logger: Any, _method: str, text: str) -> str:
    """structlog processor, after the renderer."""
    return str(redacted(text))


def add_process_and_task(_logger: Any, _method: str, line: Line) -> Line:
    for name, value in ABOUT.items():
        line.setdefault(name, value)
    task = current_task
    if task and task.request.id:
        line.setdefault("task", task.name)
        line.setdefault("task_id", task.request.id)
    return line


class Refusals(logging.Filter):
    """What Django refuses for a bad Host header or the like is one line of one kind: strangers choose its text."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.startswith("django.security"):
            record.args = (record.name.rpartition(".")[2], record.getMessage()[:MAX_REFUSAL])
            record.msg = "refused a request (%s): %s"
            record.levelno, record.levelname = logging.WARNING, "WARNING"
            record.exc_info = record.exc_text = record.stack_info = None
        return True


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


def configure(wanted: dict[str, Any]) -> None:
    """Django's LOGGING_CONFIG. Commands on a terminal keep Python's own tracebacks."""
    logging.config.dictConfig(wanted)
    if not sys.stderr.isatty():
        catch_all()


def catch_all() -> None:
    """Warnings and exceptions that nobody catches become records, too: without this each is text of its own form."""
    logging.captureWarnings(True)

    def main_thread(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
        else:
            crashes.critical("the process ends by an error", exc_info=(kind, error, trace))

    def other_thread(arguments: threading.ExceptHookArgs) -> None:
        if arguments.exc_value is not None and not issubclass(arguments.exc_type, SystemExit):
            found = (arguments.exc_type, arguments.exc_value, arguments.exc_traceback)
            crashes.error("a thread ends by an error", exc_info=found)

    sys.excepthook, threading.excepthook = main_thread, other_thread


def renderers(*, pretty: bool) -> list[Any]:
    """From a record's values to its text. Tracebacks never show local variables: these hold keys and cookies."""
    first = [structlog.processors.format_exc_info, redact]
    if pretty:
        renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        return [*first, escape_for_terminals, renderer, redact_text]
    return [*first, structlog.processors.JSONRenderer()]


def configuration(*, level: str, form: str) -> dict[str, Any]:
    """For `logging.config.dictConfig`. `form`: json, console, or auto (console on a terminal)."""
    pretty = form == "console" or form == "auto" and sys.stderr.isatty()
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
        "filters": {"refusals": {"()": Refusals}, "sampler": {"()": Sampler}},
        "formatters": {
            "line": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": shared,
                "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers(pretty=pretty)],
            }
        },
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["refusals", "sampler"]}
        },
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # Each brings handlers of its own, which would write everything twice.
            "django": {"handlers": [], "propagate": True},
            "django.server": quiet,
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
