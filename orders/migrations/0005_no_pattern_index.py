from django.db import migrations

NAME = "orders_transaction_signature_814abff3_like"


class Migration(migrations.Migration):
    """Signatures are compared in full only: Django's index for patterns beside the key cost every order two writes."""

    atomic = False
    dependencies = [("orders", "0004_order_request_id")]
    operations = [
        migrations.RunSQL(
            f"DROP INDEX CONCURRENTLY IF EXISTS {NAME}",
            f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {NAME} ON orders_transaction (signature varchar_pattern_ops)",
        ),
    ]
