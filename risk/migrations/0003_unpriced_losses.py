import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    """What was realised today in tokens that nobody knows the worth of: it is no loss, and is said."""

    dependencies = [("risk", "0002_gates")]

    operations = [
        migrations.AddField(
            "Budget",
            "unpriced",
            django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=44), null=True, size=None),
        ),
    ]
