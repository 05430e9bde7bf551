from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """Beside running processes: without a lock on the plans."""

    atomic = False
    dependencies = [("orders", "0017_alerts")]
    operations = [
        AddIndexConcurrently(
            model_name="plan", index=models.Index(fields=["account", "updated_at"], name="plan_changed")
        ),
    ]
