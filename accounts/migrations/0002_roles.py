"""Named permissions, and the three groups that carry them.

Existing people keep what they may do as far as a permission said so: a superuser keeps everything; staff that could change
orders becomes an operator; everybody else who owns an account becomes a trader. Staff without any permission had the staff
API until now; it keeps the sign-in to the admin, and nothing there, until somebody adds it to a group.
"""

from typing import Any

from django.conf import settings
from django.db import migrations
from django.db.models import Q

NAMED = {
    "operate_orders": "Can operate everybody's orders and use the staff API",
    "view_figures": "Can view the overview's figures",
    "view_tasks": "Can view tasks and workers (Flower)",
}
SCHEDULE = ("periodictask", "intervalschedule", "crontabschedule", "solarschedule", "clockedschedule")
SEEN = [("orders", name) for name in ("order", "orderevent", "transaction", "deadletter", "executor")]
SEEN += [("django_celery_beat", name) for name in SCHEDULE]
OPERATOR = [("accounts", "account", codename) for codename in NAMED]
OPERATOR += [(app, model, f"view_{model}") for app, model in SEEN]
MANAGED = [
    ("accounts", "account", ("add", "change", "view")),
    ("accounts", "apikey", ("add", "change", "view")),
    ("auth", "user", ("add", "change", "view")),
    ("auth", "group", ("view",)),
    ("axes", "accessattempt", ("view", "delete")),
    ("axes", "accesslog", ("view",)),
    *(("django_celery_beat", name, ("add", "change")) for name in SCHEDULE),
]
ADMINISTRATOR = OPERATOR + [(app, model, f"{verb}_{model}") for app, model, verbs in MANAGED for verb in verbs]
GROUPS = {"trader": [], "operator": OPERATOR, "administrator": ADMINISTRATOR}


def permission(apps: Any, app: str, model: str, codename: str) -> Any:
    """The permission's row. Django makes it only after all migrations, with the name that is given here."""
    kind, _ = apps.get_model("contenttypes", "ContentType").objects.get_or_create(app_label=app, model=model)
    name = NAMED.get(codename) or f"Can {codename.partition('_')[0]} {model}"
    found, _ = apps.get_model("auth", "Permission").objects.get_or_create(
        content_type=kind, codename=codename, defaults={"name": name}
    )
    return found


def make_groups(apps: Any, schema_editor: Any) -> None:
    groups = apps.get_model("auth", "Group").objects
    for name, wanted in GROUPS.items():
        group, _ = groups.get_or_create(name=name)
        group.permissions.add(*(permission(apps, *each) for each in wanted))


def place_people(apps: Any, schema_editor: Any) -> None:
    users = apps.get_model(settings.AUTH_USER_MODEL).objects.filter(is_superuser=False)
    groups = apps.get_model("auth", "Group").objects
    accounts = apps.get_model("accounts", "Account").objects
    held = {"content_type__app_label": "orders", "codename": "change_order"}
    codes = apps.get_model("auth", "Permission").objects.filter(**held)
    operators = list(
        users.filter(is_staff=True)
        .filter(Q(user_permissions__in=codes) | Q(groups__permissions__in=codes))
        .distinct()
        .values_list("pk", flat=True)
    )
    groups.get(name="operator").user_set.add(*operators)
    owners = accounts.filter(user__in=users.exclude(pk__in=operators)).values_list("user_id", flat=True)
    groups.get(name="trader").user_set.add(*owners)


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterModelOptions(name="account", options={"permissions": list(NAMED.items())}),
        migrations.AlterModelOptions(name="apikey", options={"verbose_name": "API key"}),
        migrations.RunPython(make_groups, migrations.RunPython.noop),
        migrations.RunPython(place_people, migrations.RunPython.noop),
    ]
