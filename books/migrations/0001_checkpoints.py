from django.db import migrations, models


class Migration(migrations.Migration):
    """Checkpoints of books: a table of its own, filled beside the work."""

    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            "Checkpoint",
            [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("account_id", models.BigIntegerField()),
                ("mode", models.CharField(max_length=8)),
                ("at", models.DateTimeField()),
                ("order_id", models.UUIDField()),
                ("fills", models.BigIntegerField()),
                ("positions", models.JSONField()),
            ],
            {
                "constraints": [
                    models.UniqueConstraint(fields=["account_id", "mode", "fills"], name="checkpoint_of_fills")
                ],
                "indexes": [models.Index(fields=["account_id", "mode", "-at"], name="checkpoint_before")],
            },
        ),
    ]
