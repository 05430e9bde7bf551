from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models
from django.db.models import Q

PRICE = {"max_digits": 38, "decimal_places": 18, "null": True, "blank": True}


class Migration(migrations.Migration):
    """What an order is to receive, instead of what it sells. Workers of before fail such an order: they know no amount of it."""

    dependencies = [("orders", "0021_longer_modes")]
    operations = [
        migrations.AddField("order", "exact_out", models.DecimalField(**PRICE)),
        migrations.AddField("order", "amount_in_max", models.DecimalField(**PRICE)),
        migrations.RemoveConstraint("order", "order_amount_or_percent"),
        AddConstraintNotValid(
            model_name="order",
            constraint=models.CheckConstraint(
                name="order_one_amount",
                condition=Q(amount__isnull=False, percent=None, exact_out=None, amount_in_max=None)
                | Q(amount=None, percent__isnull=False, percent__range=(1, 100), exact_out=None, amount_in_max=None)
                | Q(amount=None, percent=None, exact_out__isnull=False, exact_out__gt=0),
            ),
        ),
        AddConstraintNotValid(
            model_name="order",
            constraint=models.CheckConstraint(name="order_amount_in_max_positive", condition=Q(amount_in_max__gt=0)),
        ),
    ]
