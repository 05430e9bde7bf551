from django.db import migrations, models

PRICE = {"decimal_places": 18, "max_digits": 38}
OPTIONAL = {"blank": True, "null": True}


class Migration(migrations.Migration):
    """Trailing stops, stop-limits and orders of one attempt. Workers of before see a stop that never fires, and leave it."""

    dependencies = [("orders", "0014_orders_name_mints")]
    operations = [
        migrations.AddField("order", "trail_bps", models.IntegerField(**OPTIONAL)),
        migrations.AddField("order", "activation_price", models.DecimalField(**PRICE, **OPTIONAL)),
        migrations.AddField("order", "trail_high", models.DecimalField(**PRICE, **OPTIONAL)),
        migrations.AddField("order", "worst_price", models.DecimalField(**PRICE, **OPTIONAL)),
        migrations.AddField("order", "time_in_force", models.CharField(max_length=3, **OPTIONAL)),
        migrations.CreateModel(
            "PairHigh",
            [
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "pair", "at", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("pair", models.CharField(max_length=140)),
                ("at", models.DateTimeField()),
                ("high", models.DecimalField(**PRICE)),
            ],
        ),
    ]
