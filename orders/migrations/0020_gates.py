from django.db import migrations, models


class Migration(migrations.Migration):
    """What snipers ask of the tokens they buy."""

    dependencies = [("orders", "0019_kept_fills")]
    operations = [
        migrations.AddField("order", "gates", models.JSONField(blank=True, null=True)),
        migrations.AddField("order", "gates_since", models.DateTimeField(blank=True, null=True)),
    ]
