"""Log lines: one JSON object each, with their context, without secrets, and few of a kind."""

import json
import logging
import logging.config
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
