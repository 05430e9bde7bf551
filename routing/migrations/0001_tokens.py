from pathlib import Path

import django.db.models.functions.datetime
import django.db.models.functions.text
from django.db import migrations, models

VERSION = (Path(__file__).parent / "0001_token_version.sql").read_text()


class Migration(migrations.Migration):
    """The table of tokens, and its version, which shows every process when to read it again."""

    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="TokenRow",
            fields=[
                ("mint", models.CharField(max_length=44, primary_key=True, serialize=False)),
                ("symbol", models.CharField(blank=True, max_length=32)),
                ("name", models.CharField(blank=True, max_length=128)),
                ("decimals", models.SmallIntegerField()),
                (
                    "program",
                    models.CharField(
                        choices=[("token", "token"), ("token-2022", "token-2022")], editable=False, max_length=10
                    ),
                ),
                ("extensions", models.JSONField(default=list, editable=False)),
                ("verified", models.BooleanField(default=False)),
                ("source", models.CharField(editable=False, max_length=32)),
                ("logo", models.CharField(blank=True, max_length=300, null=True)),
                ("rank", models.IntegerField(default=1000, editable=False)),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
            ],
            options={
                "verbose_name": "token",
                "verbose_name_plural": "tokens",
                "db_table": "routing_token",
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("decimals__range", (0, 18))), name="token_decimals"),
                    models.CheckConstraint(
                        condition=models.Q(("program__in", ["token", "token-2022"])), name="token_program"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("verified", False), models.Q(("symbol", ""), _negated=True), _connector="OR"
                        ),
                        name="token_verified_has_symbol",
                    ),
                    models.UniqueConstraint(
                        django.db.models.functions.text.Upper("symbol"),
                        condition=models.Q(("verified", True)),
                        name="token_verified_symbol",
                    ),
                ],
            },
        ),
        migrations.RunSQL(
            VERSION,
            "DROP TRIGGER routing_token_changed ON routing_token; DROP FUNCTION routing_token_changed;"
            " DROP TABLE routing_tokenversion;",
        ),
    ]
