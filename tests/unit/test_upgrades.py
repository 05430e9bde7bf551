"""Old and new processes run side by side: messages may say more than is known, migrations take nothing from old code."""

import inspect
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.postgres import operations as postgres
from django.db import migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.models import NOT_PROVIDED

from celery_app import app

APPS = ("accounts", "orders", "routing")
ADDING = (migrations.CreateModel, postgres.AddConstraintNotValid, postgres.ValidateConstraint, postgres.CreateExtension)
KNOWN = {
    ("accounts", "0002_roles", "AlterModelOptions"): "names of permissions: nothing in the tables",
    ("accounts", "0002_roles", "RunPython"): "adds groups and puts people into them: rows that old code does not read",
    ("orders", "0002_fillfactor", "RunSQL"): "storage parameters: a brief lock, nothing that code could see",
    ("orders", "0005_no_pattern_index", "RunSQL"): "drops an index that no query used, concurrently",
    ("orders", "0010_order_of_plan", "SeparateDatabaseAndState"): "a unique index over new columns, made concurrently",
    (
        "orders",
        "0011_order_wallet",
        "AlterField",
    ): "an amount may be null: of shares, which old workers of the mock never see",
    ("orders", "0013_order_names_mints", "SeparateDatabaseAndState"): "longer texts: a brief lock; old code reads both",
    ("orders", "0014_orders_name_mints", "RunSQL"): "validates a constraint, beside the work",
    ("orders", "0014_orders_name_mints", "RunPython"): "mints for symbols, page by page: old code looks up both",
    (
        "orders",
        "0021_longer_modes",
        "AlterField",
    ): "longer texts: a brief lock, no row is rewritten; old code reads both",
    ("orders", "0022_exact_out", "RemoveConstraint"): "a wider one takes its place in the same transaction",
    ("routing", "0002_permits", "RunSQL"): "a trigger on a new table, which old code neither reads nor writes",
}
"""What is none of ADDING, and why processes of the version before can live with it."""


def complaint(operation: Operation, *, atomic: bool) -> str | None:
    """What the version before would suffer from, or whoever waits for a lock meanwhile."""
    match operation:
        case postgres.AddIndexConcurrently() | postgres.RemoveIndexConcurrently():
            return "needs atomic = False" if atomic else None
        case migrations.AddField(field=field):
            kept = field.null or field.db_default is not NOT_PROVIDED
            return None if kept else "rows that old code writes would lack it: null=True or db_default"
        case migrations.AddIndex() | migrations.RemoveIndex():
            return "locks the table: AddIndexConcurrently"
        case migrations.AddConstraint() if not isinstance(operation, ADDING):
            return "looks at every row under a lock: AddConstraintNotValid, then ValidateConstraint"
        case migrations.SeparateDatabaseAndState(database_operations=inner):
            return next((found for one in inner if (found := complaint(one, atomic=atomic))), None)
        case _:
            return None if isinstance(operation, ADDING) else "not known to be additive"


def later_migrations() -> Iterator[tuple[str, str, migrations.Migration]]:
    """All but the first of each app: before it there was no version."""
    for (label, name), migration in MigrationLoader(None).disk_migrations.items():  # type: ignore[union-attr]
        if label in APPS and not migration.initial:
            yield label, name, migration


def test_migrations_only_add_and_lock_nothing_for_long() -> None:
    found = list(later_migrations())
    assert {("orders", "0003_order_launched_before"), ("orders", "0004_order_request_id")} <= {key[:2] for key in found}
    complaints = {
        (label, name, type(operation).__name__): why
        for label, name, migration in found
        for operation in migration.operations
        if (why := complaint(operation, atomic=migration.atomic))
    }
    assert set(complaints) == set(KNOWN), complaints


INDEX = models.Index(fields=["venue"], name="order_venue")
CHECK: Any = models.CheckConstraint(name="order_venue", condition=models.Q(venue__isnull=False))


@pytest.mark.parametrize(
    ("operation", "good"),
    [
        (migrations.AddField("order", "note", models.TextField(null=True)), True),
        (migrations.AddField("order", "note", models.TextField(db_default="")), True),
        (migrations.AddField("order", "note", models.TextField(default="")), False),
        (migrations.RemoveField("order", "venue"), False),
        (migrations.RenameField("order", "venue", "place"), False),
        (migrations.AlterField("order", "venue", models.CharField(max_length=8)), False),
        (migrations.DeleteModel("order"), False),
        (migrations.RenameModel("order", "trade"), False),
        (migrations.RunSQL("ALTER TABLE orders_order DROP COLUMN venue"), False),
        (migrations.AddIndex("order", INDEX), False),
        (postgres.AddIndexConcurrently("order", INDEX), False),
        (migrations.AddConstraint("order", CHECK), False),
        (postgres.AddConstraintNotValid("order", CHECK), True),
        (migrations.SeparateDatabaseAndState([migrations.RemoveField("order", "venue")]), False),
    ],
)
def test_what_would_harm_is_seen(operation: Operation, good: bool) -> None:
    assert (complaint(operation, atomic=True) is None) is good


def test_an_index_is_made_beside_the_work() -> None:
    assert complaint(postgres.AddIndexConcurrently("order", INDEX), atomic=False) is None


@pytest.mark.filterwarnings("ignore::celery.exceptions.CDeprecationWarning")
def test_tasks_take_names_only_and_ignore_what_they_do_not_know() -> None:
    app.loader.import_default_modules()
    ours = {name: task for name, task in app.tasks.items() if not name.startswith("celery.")}
    assert {"execute_orders", "reconcile", "expire_orders", "keep_book", "prune", "poll_quotes"} <= set(ours)
    for name, task in ours.items():
        parameters = inspect.signature(task.run).parameters.values()
        assert parameters and list(parameters)[-1].kind is inspect.Parameter.VAR_KEYWORD, name
        assert all(one.kind is inspect.Parameter.KEYWORD_ONLY for one in list(parameters)[:-1]), name
