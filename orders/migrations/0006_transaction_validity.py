from django.db import migrations, models


class Migration(migrations.Migration):
    """Until when a transaction may land, in the chain's own measure. Workers of before go on writing `valid_until` alone."""

    dependencies = [("orders", "0005_no_pattern_index")]
    operations = [
        migrations.AddField("transaction", "validity", models.BigIntegerField(null=True)),
    ]
