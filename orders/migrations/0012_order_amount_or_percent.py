from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    """Apart from the constraint itself: reading all rows takes no lock that writers wait for."""

    dependencies = [("orders", "0011_order_wallet")]
    operations = [ValidateConstraint(model_name="order", name="order_amount_or_percent")]
