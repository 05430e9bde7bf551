import django.db.models.deletion
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models
from django.db.models import Q

PRICE = {"max_digits": 38, "decimal_places": 18, "null": True, "blank": True}


class Migration(migrations.Migration):
    """Who sells and signs, shares instead of amounts, and what orders in work may still spend. Null in rows of before."""

    dependencies = [("orders", "0010_order_of_plan")]
    operations = [
        migrations.AddField("order", "wallet", models.CharField(max_length=44, null=True, blank=True)),
        migrations.AddField("order", "percent", models.SmallIntegerField(null=True, blank=True)),
        migrations.AddField("order", "amount_in", models.DecimalField(**PRICE)),
        migrations.AlterField("order", "amount", models.DecimalField(**PRICE)),
        migrations.AddField("transaction", "wallet", models.CharField(max_length=44, null=True)),
        migrations.AddField(
            "transaction", "amount_in", models.DecimalField(max_digits=38, decimal_places=18, null=True)
        ),
        AddConstraintNotValid(
            model_name="order",
            constraint=models.CheckConstraint(
                name="order_amount_or_percent",
                condition=Q(amount__isnull=False, percent=None)
                | Q(amount=None, percent__isnull=False, percent__range=(1, 100)),
            ),
        ),
        migrations.CreateModel(
            name="Reservation",
            fields=[
                (
                    "order",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        serialize=False,
                        to="orders.order",
                    ),
                ),
                ("wallet", models.CharField(max_length=44)),
                ("mint", models.CharField(max_length=44)),
                ("units", models.DecimalField(decimal_places=0, max_digits=20)),
                ("lamports", models.BigIntegerField()),
            ],
            options={"indexes": [models.Index(fields=["wallet"], name="reservation_of_wallet")]},
        ),
    ]
