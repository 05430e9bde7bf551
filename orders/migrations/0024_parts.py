from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("orders", "0023_order_one_amount")]
    operations = [
        migrations.AddField(model_name=name, name="parts", field=models.JSONField(null=True, blank=True))
        for name in ("order", "keptfill")
    ]
