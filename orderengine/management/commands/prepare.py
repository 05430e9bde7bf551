"""`manage.py prepare`: schema and credentials; then waits for an order worker. One line for each stage."""

import importlib
import time
from argparse import ArgumentParser
from typing import Any

import psycopg
from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import OperationalError, connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

LOCK_TIMEOUT_S = 2
LOCK_TRIES = 30
"""A change that waits for a table's lock stops everybody behind it, so it waits briefly and comes again."""
LOCK = 0x0DE2
"""Two engines that share a database migrate it one after the other."""


class Command(BaseCommand):
    help = "Migrates, makes the first credentials, and waits until an order worker lives."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--no-wait", action="store_true", help="do not wait for an order worker")

    def handle(self, *args: Any, **options: Any) -> None:
        started = timezone.now()
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [LOCK])
            migrate()
            importlib.import_module("accounts.credentials").ensure(settings.DATA_DIR)
            importlib.import_module("risk.changes").halt_first_start()
            if settings.EXECUTION_MODE == "localnet" or settings.PAPER:
                importlib.import_module("orderengine.first_wallet").ensure()
            cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK])
        self.say("prepared")
        if options["no_wait"]:
            return
        executors = apps.get_model("orders", "Executor").objects
        while not executors.filter(state="alive", started_at__gte=started).exists():
            time.sleep(0.1)
        self.say("an order worker lives")

    def say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


def migrate() -> None:
    """Asking costs a tenth of what the command does after finding nothing to do."""
    executor = MigrationExecutor(connection)
    if not executor.migration_plan(executor.loader.graph.leaf_nodes()):
        return
    for left in reversed(range(LOCK_TRIES)):
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"SET lock_timeout = '{LOCK_TIMEOUT_S}s'")
            call_command("migrate", verbosity=0, interactive=False)
            break
        except OperationalError as error:
            if not (left and isinstance(error.__cause__, psycopg.errors.LockNotAvailable)):
                raise
            time.sleep(1)
    with connection.cursor() as cursor:
        cursor.execute("RESET lock_timeout")
