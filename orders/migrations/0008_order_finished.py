from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """Beside running processes: without a lock on the orders."""

    atomic = False
    dependencies = [("orders", "0007_order_on_a_chain")]
    operations = [
        AddIndexConcurrently(
            model_name="order",
            index=models.Index(
                name="order_finished",
                fields=["account", "finished_at"],
                condition=models.Q(finished_at__isnull=False),
            ),
        ),
    ]
