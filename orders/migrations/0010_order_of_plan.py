from django.db import migrations, models
from django.db.models import Q

NAME = "order_of_plan"


class Migration(migrations.Migration):
    """One order for each plan, leg and round. Apart from the columns, so that the index is made beside the work."""

    atomic = False
    dependencies = [("orders", "0009_plans")]
    operations = [
        migrations.SeparateDatabaseAndState(
            [
                # One that could not be finished is in the way of the next try.
                migrations.RunSQL(f"DROP INDEX CONCURRENTLY IF EXISTS {NAME}", migrations.RunSQL.noop),
                migrations.RunSQL(
                    f"CREATE UNIQUE INDEX CONCURRENTLY {NAME} ON orders_order (plan_id, leg, round)"
                    " WHERE plan_id IS NOT NULL",
                    f"DROP INDEX CONCURRENTLY IF EXISTS {NAME}",
                ),
            ],
            [
                migrations.AddConstraint(
                    "order",
                    models.UniqueConstraint(
                        name=NAME, fields=["plan", "leg", "round"], condition=Q(plan__isnull=False)
                    ),
                )
            ],
        )
    ]
