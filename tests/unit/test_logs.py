"""Log lines: one JSON object each, with their context, without secrets, and few of a kind."""

import json
import logging
import logging.config
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from structlog.contextvars import bound_contextvars

from orderengine import logs

KEY = "oe_" + "k" * 43


@pytest.fixture
def lines() -> Iterator[Any]:
    """A logger configured as the engine's; returns its parsed lines."""
    stream = StringIO()
    wanted = logs.configuration(level="INFO", form="json")
    handler = wanted["handlers"]["stderr"] | {"stream": stream}
    wanted |= {"loggers": {"of.test": {"handlers": ["stderr"], "propagate": False, "level": "INFO"}}}
    wanted["handlers"] = {"stderr": handler}
    del wanted["root"]
    logging.config.dictConfig(wanted)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logging.getLogger("of.test").handlers.clear()


def test_a_line_has_its_context(lines: Any) -> None:
    with bound_contextvars(order_id="o-1", attempt=2, epoch=3, request_id="r-1"):
        logging.getLogger("of.test").warning("order %s waits", "o-1")
    [line] = lines()
    assert line["event"] == "order o-1 waits" and line["level"] == "warning" and line["logger"] == "of.test"
    assert (line["order_id"], line["attempt"], line["epoch"], line["request_id"]) == ("o-1", 2, 3, "r-1")
    assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize(
    ("said", "secret"),
    [
        (f"key {KEY} refused", KEY),
        ("GET /ws/orders?ticket=abcDEF123-_ 101", "abcDEF123"),
        ("Authorization: Bearer abcdefgh12345678", "abcdefgh12345678"),
        ("cannot connect to redis://:hunter2pw@127.0.0.1:6379/0", "hunter2pw"),
        ("postgresql://orderengine:hunter2pw@db/orderengine", "hunter2pw"),
        ("host=db password=hunter2pw user=x", "hunter2pw"),
        ("Cookie: sessionid=q1w2e3r4t5", "q1w2e3r4t5"),
        ("POST https://rpc.example/?api-key=q1w2-e3r4", "q1w2-e3r4"),
    ],
)
def test_no_secret_is_written(lines: Any, said: str, secret: str) -> None:
    log = logging.getLogger("of.test")
    log.warning(said)
    try:
        raise RuntimeError(said)
    except RuntimeError:
        log.exception("it failed")
    with bound_contextvars(detail={"password": secret, "inner": [said]}, api_key=secret):
        log.warning("with context")
    assert len(lines()) == 3 and secret not in json.dumps(lines())


def test_a_flood_is_counted_instead_of_written(lines: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    log = logging.getLogger("of.test")
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    for n in range(500):
        log.warning("redis is away: %s", n)
    log.warning("something else")
    assert len(lines()) == logs.MAX_SAME + 1
    now[0] += logs.SAME_PERIOD_S + 1
    log.warning("redis is away: %s", 500)
    assert lines()[-1]["dropped_lines"] == 500 - logs.MAX_SAME


@pytest.fixture(params=["json", "console"])
def written(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The text that a configured logger has written, in either format."""
    stream = StringIO()
    wanted = logs.configuration(level="INFO", form=request.param)
    wanted["handlers"] = {"stderr": wanted["handlers"]["stderr"] | {"stream": stream}}
    names = ("of.test", "django.security.DisallowedHost")
    wanted["loggers"] = {name: {"handlers": ["stderr"], "propagate": False, "level": "INFO"} for name in names}
    del wanted["root"]
    logging.config.dictConfig(wanted)
    yield stream.getvalue
    for name in names:
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True


def test_no_local_variable_of_a_traceback_is_written(written: Any) -> None:
    def asked(authorization: str, cookie: str) -> None:
        held = {"session": cookie}
        raise RuntimeError(f"the session {len(held)} is gone")

    first, second = "q1w2" + "e3r4t5y6u7", "a9s8" + "d7f6g5h4"  # In parts: a traceback quotes its source.
    try:
        asked(first, second)
    except RuntimeError:
        logging.getLogger("of.test").exception("it failed")
    assert "it failed" in written() and "the session 1 is gone" in written()
    assert first not in written() and second not in written()


def test_a_secret_in_an_object_s_text_is_redacted(written: Any) -> None:
    class Held:
        def __repr__(self) -> str:
            return f"<Held {KEY}>"

    with bound_contextvars(found=Held(), many={KEY: [Held()]}):
        logging.getLogger("of.test").warning("%s", Held())
    assert KEY not in written() and logs.REDACTED in written()


@pytest.mark.parametrize("bad", ["\r\n", "\n", "\x1b[2J\x1b]0;x\x07", "\x9b31m", "\u2028", "\x00", "\u202e"])
def test_no_text_forges_a_line_or_steers_a_terminal(written: Any, bad: str) -> None:
    said = f"before{bad}2026-11-26T00:00:00Z [warning] forged"
    with bound_contextvars(path=said):
        logging.getLogger("of.test").warning("asked for %s", said)
    assert len(written().splitlines()) == 1 and bad not in written().rstrip("\n")
    try:
        raise ValueError(said)
    except ValueError:
        logging.getLogger("of.test").exception("failed")
    for line in written().split("\n")[2:]:
        assert line.startswith("    ") or not line, "a traceback's line passes for a record"
    assert bad == "\n" or bad not in written()


def test_a_bad_host_is_one_sampled_line_without_a_traceback(written: Any) -> None:
    log = logging.getLogger("django.security.DisallowedHost")
    for n in range(200):
        try:
            raise RuntimeError("deep below")
        except RuntimeError as error:
            log.error(f"Invalid HTTP_HOST header: 'evil-{n}\n.example'.", exc_info=error)
    assert len(written().splitlines()) == logs.MAX_SAME
    assert "Traceback" not in written() and "evil-0" in written()


def test_what_nobody_catches_and_warnings_are_lines_too() -> None:
    code = """
import logging.config, sys, threading, warnings
from orderengine import logs
logging.config.dictConfig(logs.configuration(level="INFO", form="json"))
logs.catch_all()
warnings.warn("of old")
thread = threading.Thread(target=lambda: 1 / 0)
thread.start(); thread.join()
raise RuntimeError("of the main thread")
"""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert done.returncode == 1 and len(lines) == 3, done.stderr
    assert "of old" in lines[0]["event"] and "ZeroDivisionError" in lines[1]["exception"]
    assert "of the main thread" in lines[2]["exception"]
