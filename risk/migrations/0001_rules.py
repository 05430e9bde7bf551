from pathlib import Path

import django.contrib.postgres.fields
from django.db import migrations, models

import risk.values

EVERYBODY = (Path(__file__).parent / "0001_everybody.sql").read_text()


class Migration(migrations.Migration):
    """Rules of risk: what accounts may trade, what they have spent today, who changed it."""

    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Budget",
            fields=[
                ("account_id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("day", models.DateField()),
                ("spent", models.DecimalField(decimal_places=18, default=0, max_digits=38)),
                ("lost", models.DecimalField(decimal_places=18, default=0, max_digits=38)),
            ],
        ),
        migrations.CreateModel(
            name="Change",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("account_id", models.BigIntegerField()),
                ("at", models.DateTimeField()),
                ("by", models.CharField(max_length=200)),
                ("request_id", models.CharField(blank=True, max_length=128, null=True)),
                ("before", models.JSONField()),
                ("after", models.JSONField()),
            ],
            options={
                "indexes": [models.Index(fields=["account_id", "-id"], name="change_of_account")],
            },
        ),
        migrations.CreateModel(
            name="Rule",
            fields=[
                ("account_id", models.BigIntegerField(primary_key=True, serialize=False)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            (risk.values.TradingState["ACTIVE"], risk.values.TradingState["ACTIVE"]),
                            (risk.values.TradingState["REDUCING"], risk.values.TradingState["REDUCING"]),
                            (risk.values.TradingState["HALTED"], risk.values.TradingState["HALTED"]),
                        ],
                        default="ACTIVE",
                        max_length=8,
                    ),
                ),
                ("state_by_staff", models.BooleanField(default=False)),
                (
                    "max_notional_per_order",
                    models.DecimalField(blank=True, decimal_places=18, max_digits=38, null=True),
                ),
                ("max_open_orders", models.IntegerField(blank=True, null=True)),
                ("max_orders_per_minute", models.IntegerField(blank=True, null=True)),
                ("max_daily_spend", models.DecimalField(blank=True, decimal_places=18, max_digits=38, null=True)),
                ("max_daily_loss", models.DecimalField(blank=True, decimal_places=18, max_digits=38, null=True)),
                ("price_collar_bps", models.IntegerField(blank=True, null=True)),
                (
                    "allowed_tokens",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=44), blank=True, null=True, size=None
                    ),
                ),
                (
                    "denied_tokens",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=44), blank=True, null=True, size=None
                    ),
                ),
                ("limits_by_staff", models.BooleanField(default=False)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("state__in", ["ACTIVE", "REDUCING", "HALTED"])), name="rule_state"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Spend",
            fields=[
                ("order_id", models.UUIDField(primary_key=True, serialize=False)),
                ("account_id", models.BigIntegerField()),
                ("amount", models.DecimalField(decimal_places=18, max_digits=38)),
                ("day", models.DateField()),
                ("of_account", models.BooleanField()),
                ("of_everybody", models.BooleanField()),
            ],
            options={
                "indexes": [models.Index(fields=["day"], name="spend_of_day")],
            },
        ),
        migrations.RunSQL(EVERYBODY, migrations.RunSQL.noop),
    ]
