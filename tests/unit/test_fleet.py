"""The one table of processes and queues, and who reads it."""

import re
import warnings
from pathlib import Path

import pytest

from celery_app import QUEUES, app
from orderengine.host import processes
from runtime import fleet

BASE_DIR = Path(__file__).resolve().parent.parent.parent


def test_the_celery_app_has_the_table_s_queues() -> None:
    assert set(QUEUES) == set(fleet.QUEUES) == set(app.amqp.queues)


def test_each_task_goes_where_the_table_says() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Celery's, of the attribute `queue`
        app.loader.import_default_modules()
        declared = {name: task.queue for name, task in app.tasks.items() if not name.startswith("celery.")}
    assert declared.items() <= fleet.QUEUE_OF.items()
    assert fleet.QUEUE_OF.keys() - declared.keys() == {"dead_letter"}, "nobody consumes it here"
    assert {task: route["queue"] for task, route in app.conf.task_routes.items()} == fleet.QUEUE_OF


def test_processes_are_named_and_counted_in_both_modes(tmp_path: Path) -> None:
    environment = {"WORKERS_ORDERS": "2", "WEB_WORKERS": "2"}
    names = [process.name for process in processes.engine(environment, tmp_path, tmp_path / "web.sock")]
    assert names[:2] == list(processes.FIRST)
    assert set(names) == {
        "web",
        "web-2",
        "orders-1",
        "orders-2",
        "dbsync",
        "quotes",
        "beat",
        "limit",
        "sniper",
        "webhooks",
        "flower",
    }
    assert {fleet.kind_of(name) for name in names} == {kind.name for kind in fleet.KINDS}


def test_the_operations_page_lists_every_process() -> None:
    page = (BASE_DIR / "docs" / "operations.md").read_text()
    table = page.partition("## What each process does")[2].partition("\n## ")[0]
    rows = set(re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE))
    named = {name for row in rows for name in re.findall(r"`([a-z]+)(?:-1)?`", row)}
    assert named == {kind.name for kind in fleet.KINDS} | {"postgres", "redis", "localnet"}


@pytest.mark.parametrize("text", ["0", "-1", "1001", "two", "²", "1.0"])
def test_a_count_that_is_none_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="WORKERS_ORDERS must be a whole number"):
        processes.how_many(fleet.ORDERS, {"WORKERS_ORDERS": text})
