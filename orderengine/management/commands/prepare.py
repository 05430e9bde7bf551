"""`manage.py prepare`: schema and credentials; then waits for an order worker. One line for each stage."""

import importlib
import time
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

LOCK = 0x0DE2
"""Two engines that share a database migrate it one after the other."""


class Command(BaseCommand):
    help = "Migrates, makes the first credentials, and waits until an order worker lives."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        started = timezone.now()
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [LOCK])
            migrate()
            importlib.import_module("accounts.credentials").ensure(settings.DATA_DIR)
            cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK])
        self.say("prepared")
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
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        call_command("migrate", verbosity=0, interactive=False)
