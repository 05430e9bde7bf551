from django.db import migrations


class Migration(migrations.Migration):
    """Leaves room on each page of orders for the updates of its rows, so that they stay there (HOT)."""

    dependencies = [("orders", "0001_initial")]
    operations = [
        migrations.RunSQL(
            "ALTER TABLE orders_order SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05)",
            "ALTER TABLE orders_order RESET (fillfactor, autovacuum_vacuum_scale_factor)",
        ),
        migrations.RunSQL(
            "ALTER TABLE orders_transaction SET (fillfactor = 85)", "ALTER TABLE orders_transaction RESET (fillfactor)"
        ),
    ]
