from django.db import migrations, models


class Migration(migrations.Migration):
    """Names of modes on paper are longer."""

    dependencies = [("books", "0001_checkpoints")]
    operations = [migrations.AlterField("checkpoint", "mode", models.CharField(max_length=16))]
