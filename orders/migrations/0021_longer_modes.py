from django.db import migrations, models


class Migration(migrations.Migration):
    """Names of modes on paper are longer."""

    dependencies = [("orders", "0020_gates")]
    operations = [
        migrations.AlterField("order", "mode", models.CharField(blank=True, max_length=16, null=True)),
        migrations.AlterField("keptfill", "mode", models.CharField(max_length=16)),
    ]
