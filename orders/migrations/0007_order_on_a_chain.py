from django.db import migrations, models


class Migration(migrations.Migration):
    """Orders of real chains: which mode they are of, what they may and did cost, where they landed. Null in older rows."""

    dependencies = [("orders", "0006_transaction_validity")]
    operations = [
        migrations.AddField("order", "mode", models.CharField(max_length=8, null=True, blank=True)),
        migrations.AddField("order", "max_fee_lamports", models.BigIntegerField(null=True, blank=True)),
        migrations.AddField("order", "slot", models.BigIntegerField(null=True, blank=True)),
        migrations.AddField("order", "fees", models.JSONField(null=True, blank=True)),
    ]
