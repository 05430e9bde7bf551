from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("risk", "0001_rules")]

    operations = [migrations.AddField("rule", "gates", models.JSONField(blank=True, null=True))]
