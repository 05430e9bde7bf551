from django.db import migrations, models

PRICE = {"max_digits": 38, "decimal_places": 18}


class Migration(migrations.Migration):
    """What purged orders traded: a table of its own."""

    dependencies = [("accounts", "0003_ticket_issuer"), ("orders", "0018_plan_changed")]
    operations = [
        migrations.CreateModel(
            "KeptFill",
            [
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                ("seq", models.IntegerField()),
                ("at", models.DateTimeField()),
                ("type", models.CharField(max_length=8)),
                ("client_order_id", models.CharField(max_length=64, null=True)),
                ("token_in", models.CharField(max_length=44)),
                ("token_out", models.CharField(max_length=44)),
                ("amount_in", models.DecimalField(**PRICE)),
                ("amount_out", models.DecimalField(**PRICE)),
                ("executed_price", models.DecimalField(**PRICE)),
                ("venue", models.CharField(max_length=16)),
                ("fee", models.DecimalField(null=True, **PRICE)),
                ("fees", models.JSONField(null=True)),
                ("tx_hash", models.CharField(max_length=96)),
                ("slot", models.BigIntegerField(null=True)),
                ("wallet", models.CharField(max_length=44, null=True)),
                ("mode", models.CharField(max_length=8)),
                ("plan_id", models.UUIDField(null=True)),
                ("leg", models.CharField(max_length=16, null=True)),
                (
                    "account",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=models.PROTECT,
                        to="accounts.account",
                    ),
                ),
            ],
            {"indexes": [models.Index(fields=["account", "at", "id"], name="kept_fill_of_account")]},
        ),
    ]
