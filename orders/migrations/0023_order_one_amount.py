from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    """Apart from the constraints themselves: reading all rows takes no lock that writers wait for."""

    dependencies = [("orders", "0022_exact_out")]
    operations = [
        ValidateConstraint(model_name="order", name="order_one_amount"),
        ValidateConstraint(model_name="order", name="order_amount_in_max_positive"),
    ]
