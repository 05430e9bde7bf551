from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import migrations

SQL = (Path(__file__).parent / "0014_orders_name_mints.sql").read_text()
MINTS = {
    "USDC": "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v",
    "SOL": "So11111111111111111111111111111111111111112",
    "JUP": "JUPyiwrYJFskUPiHa7hkeR8VUtAeFoSYbKedZNsDvCN",
    "BONK": "DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263",
    "NEW": "BvfLMhjxiFGmQ5PKaykzpSMLdgKWZmQYh88JX33gqB8K",
}
PAGE = 2_000
"""Rows a statement: executors that record one of them wait for it no longer than some ten milliseconds."""


def name_mints(apps: Any, schema_editor: Any) -> None:
    """Page by page, each in a transaction of its own; again from the start does no harm."""
    values: dict[str, Any] = {"after": UUID(int=0), "most": PAGE, "symbols": list(MINTS), "mints": list(MINTS.values())}
    with schema_editor.connection.cursor() as cursor:
        while values["after"] is not None:
            cursor.execute(SQL, values)
            row = cursor.fetchone()
            values["after"] = row and row[0]


class Migration(migrations.Migration):
    """Orders name mints. Processes of before read them as they read symbols, and go on writing symbols, which stay readable."""

    atomic = False
    dependencies = [("orders", "0013_order_names_mints")]
    operations = [
        migrations.RunSQL("ALTER TABLE orders_order VALIDATE CONSTRAINT order_two_tokens", migrations.RunSQL.noop),
        migrations.RunPython(name_mints, migrations.RunPython.noop),
    ]
