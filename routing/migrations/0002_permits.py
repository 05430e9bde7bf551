from pathlib import Path

from django.db import migrations, models

VERSION = (Path(__file__).parent / "0002_permit_version.sql").read_text()


class Migration(migrations.Migration):
    """Which venues and pools pairs may use: without a row, all of them, as before."""

    dependencies = [("routing", "0001_tokens")]

    operations = [
        migrations.CreateModel(
            name="PermitRow",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("base", models.CharField(editable=False, max_length=44)),
                ("quote", models.CharField(editable=False, max_length=44)),
                ("venue", models.CharField(max_length=16)),
                ("pool", models.CharField(blank=True, default="", max_length=44)),
                ("min_liquidity", models.DecimalField(decimal_places=18, default=0, max_digits=38)),
            ],
            options={
                "verbose_name": "permitted venue",
                "verbose_name_plural": "permitted venues",
                "db_table": "routing_permit",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("min_liquidity__range", (0, 10**18))), name="permit_min_liquidity"
                    ),
                    models.UniqueConstraint(fields=("base", "quote", "venue", "pool"), name="permit_once"),
                ],
            },
        ),
        migrations.RunSQL(VERSION, "DROP TRIGGER routing_permit_changed ON routing_permit"),
    ]
