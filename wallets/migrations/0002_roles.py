from typing import Any

from django.db import migrations


def let_them_look(apps: Any, schema_editor: Any) -> None:
    """Operators and administrators see wallets in the admin. Nobody sees a secret there."""
    kind, _ = apps.get_model("contenttypes", "ContentType").objects.get_or_create(app_label="wallets", model="wallet")
    found, _ = apps.get_model("auth", "Permission").objects.get_or_create(
        content_type=kind, codename="view_wallet", defaults={"name": "Can view wallet"}
    )
    for group in apps.get_model("auth", "Group").objects.filter(name__in=("operator", "administrator")):
        group.permissions.add(found)


class Migration(migrations.Migration):
    dependencies = [("wallets", "0001_wallets"), ("accounts", "0002_roles")]
    operations = [migrations.RunPython(let_them_look, migrations.RunPython.noop)]
