import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """Dead man's switches: a table of its own."""

    dependencies = [("accounts", "0003_ticket_issuer"), ("orders", "0015_trailing")]
    operations = [
        migrations.CreateModel(
            "DeadMan",
            [
                (
                    "account",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        serialize=False,
                        to="accounts.account",
                    ),
                ),
                ("at", models.DateTimeField()),
                ("seconds", models.IntegerField()),
                ("scope", models.CharField(max_length=8)),
                ("extended", models.BooleanField(default=False)),
            ],
            {"indexes": [models.Index(fields=["at"], name="dead_man_due")]},
        ),
    ]
