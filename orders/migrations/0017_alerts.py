import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """Alerts, in a table of their own."""

    dependencies = [("accounts", "0003_ticket_issuer"), ("orders", "0016_dead_man")]
    operations = [
        migrations.CreateModel(
            "Alert",
            [
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                (
                    "account",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        to="accounts.account",
                    ),
                ),
                ("kind", models.CharField(max_length=32)),
                ("at", models.DateTimeField()),
                ("data", models.JSONField(default=dict)),
                ("once", models.CharField(blank=True, max_length=200, null=True, unique=True)),
            ],
            {"indexes": [models.Index(fields=["at"], name="alert_at")]},
        ),
    ]
