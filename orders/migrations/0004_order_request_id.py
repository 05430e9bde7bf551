from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("orders", "0003_order_launched_before"),
    ]

    operations = [
        migrations.AddField(
            model_name="order",
            name="request_id",
            field=models.CharField(blank=True, max_length=128, null=True),
        ),
    ]
