from typing import Any

from django.db import migrations


def let_operators_look(apps: Any, schema_editor: Any) -> None:
    """The groups of `accounts.roles` that run the engine. Django makes permissions only after all migrations."""
    groups = apps.get_model("auth", "Group").objects.filter(name__in=("operator", "administrator"))
    for model, named in (("endpoint", "webhook"), ("delivery", "delivery")):
        kind, _ = apps.get_model("contenttypes", "ContentType").objects.get_or_create(app_label="webhooks", model=model)
        seen, _ = apps.get_model("auth", "Permission").objects.get_or_create(
            content_type=kind, codename=f"view_{model}", defaults={"name": f"Can view {named}"}
        )
        for group in groups:
            group.permissions.add(seen)


class Migration(migrations.Migration):
    dependencies = [("webhooks", "0001_initial"), ("accounts", "0002_roles")]
    operations = [migrations.RunPython(let_operators_look, migrations.RunPython.noop)]
