from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    """Wallets without a key, for trading on paper. Processes of the version before never meet one: they are of no cluster."""

    dependencies = [("wallets", "0002_roles")]
    operations = [
        migrations.AlterField("wallet", "mode", models.CharField(max_length=16)),
        migrations.AlterField(
            "wallet",
            "source",
            models.CharField(
                choices=[("file", "File"), ("row", "Row"), ("remote", "Remote"), ("paper", "Paper")], max_length=6
            ),
        ),
        migrations.RemoveConstraint("wallet", "wallet_source"),
        migrations.AddConstraint(
            "wallet",
            models.CheckConstraint(condition=Q(source__in=["file", "row", "remote", "paper"]), name="wallet_source"),
        ),
    ]
