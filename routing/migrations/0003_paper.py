from django.db import migrations, models


class Migration(migrations.Migration):
    """Trading on paper: what wallets have, and what has landed."""

    dependencies = [("routing", "0002_permits")]
    operations = [
        migrations.CreateModel(
            "PaperBalance",
            [
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "wallet", "mint", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("wallet", models.CharField(max_length=44)),
                ("mint", models.CharField(max_length=44)),
                ("units", models.DecimalField(decimal_places=0, max_digits=30)),
            ],
            {"constraints": [models.CheckConstraint(condition=models.Q(("units__gte", 0)), name="paper_units")]},
        ),
        migrations.CreateModel(
            "PaperTransaction",
            [
                ("signature", models.CharField(max_length=96, primary_key=True, serialize=False)),
                ("reference", models.CharField(max_length=64)),
                ("sent_at", models.DateTimeField()),
                (
                    "fate",
                    models.CharField(
                        choices=[(one, one) for one in ("landed", "reverted", "pending", "expired")],
                        max_length=8,
                        null=True,
                    ),
                ),
                ("outcome", models.JSONField(null=True)),
            ],
            {
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("fate", "landed")), fields=("reference",), name="paper_landed_once"
                    )
                ]
            },
        ),
    ]
