"""Nobody below a superuser takes over an account or a right by what the admin lets them change."""

from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission, User

from accounts.models import Account
from orders.ledger.statements import Connection
from tests.integration.test_roles import person, public, signed_in

__all__ = ["public"]  # A fixture, for every test.
pytestmark = pytest.mark.filterwarnings("ignore:No directory at")


def test_a_key_is_issued_for_one_s_own_account_and_never_with_staff_scope(database: Connection) -> None:
    mine, victim = person("mine", group="administrator", is_staff=True), person("victim", group="trader")
    client, url = signed_in(mine), "/admin/accounts/apikey/add/"

    def issued(user: User, *scopes: str) -> bool:
        account = Account.objects.get(user=user)
        before = account.keys.count()  # type: ignore[attr-defined]
        client.post(url, {"account": account.pk, "name": "k", "scopes": scopes})
        return bool(account.keys.count() > before)  # type: ignore[attr-defined]

    assert issued(mine, "trade", "read")
    assert not issued(victim, "trade", "read") and not issued(mine, "staff")
    client = signed_in(person("root", is_staff=True, is_superuser=True, account=False))
    assert issued(victim, "read") and issued(mine, "staff")


def test_an_account_changes_its_owner_by_a_superuser_only(database: Connection) -> None:
    thief = person("thief", group="administrator", is_staff=True, account=False)
    account = Account.objects.get(user=person("victim", group="trader"))
    fields = {"name": account.name, "user": thief.pk} | {
        f"keys-{name}": 0 for name in ("TOTAL_FORMS", "INITIAL_FORMS", "MIN_NUM_FORMS", "MAX_NUM_FORMS")
    }
    url = f"/admin/accounts/account/{account.pk}/change/"
    assert signed_in(thief).post(url, fields | {"name": "role-renamed"}).status_code == 302
    account.refresh_from_db()
    assert account.name == "role-renamed" and account.user.username == "role-victim"  # type: ignore[union-attr]
    root = signed_in(person("root", is_staff=True, is_superuser=True, account=False))
    assert root.post(url, fields).status_code == 302
    account.refresh_from_db()
    assert account.user == thief


def test_nobody_makes_more_of_themselves_than_they_are(database: Connection) -> None:
    boss = person("boss", group="administrator", is_staff=True, account=False)
    other = person("other", is_staff=True, account=False)
    root = person("root", is_staff=True, is_superuser=True, account=False)
    client = signed_in(boss)
    groups = {name: Group.objects.get(name=name).pk for name in ("operator", "administrator")}
    grown, _ = Group.objects.get_or_create(name="role-grown")
    grown.permissions.add(Permission.objects.get(codename="delete_user"))

    def changed(user: User, **fields: Any) -> User:
        given = {"username": user.username, "is_active": "on", "is_staff": "on"} | fields
        client.post(f"/admin/auth/user/{user.pk}/change/", given)
        return User.objects.get(pk=user.pk)

    assert not changed(boss, is_superuser="on", groups=[groups["administrator"]]).is_superuser
    assert not changed(boss, user_permissions=[1], groups=[groups["administrator"]]).user_permissions.exists()
    assert not changed(other, groups=[grown.pk]).groups.exists()
    assert changed(other, groups=[groups["operator"]]).groups.exists()
    assert changed(root, username="role-taken").username == "role-root"
    assert client.post(f"/admin/auth/user/{root.pk}/password/", {"password1": "x", "password2": "x"}).status_code == 403
    assert client.post(f"/admin/auth/group/{groups['operator']}/change/", {"name": "mine"}).status_code == 403
    grown.delete()


def test_nobody_takes_an_account_over_by_its_owner_s_password(database: Connection) -> None:
    boss, trader = person("boss", group="administrator", is_staff=True), person("victim", group="trader")
    client = signed_in(boss)
    assert client.get(f"/admin/auth/user/{trader.pk}/password/").status_code == 403
    assert client.get(f"/admin/auth/user/{boss.pk}/password/").status_code == 200
    clerk = person("clerk", group="operator", is_staff=True, account=False)
    assert client.get(f"/admin/auth/user/{clerk.pk}/password/").status_code == 200


def test_the_migration_places_people_by_what_they_were_permitted(database: Connection) -> None:
    """Superusers and staff without permissions stay in no group."""
    operator, bare = person("changer", is_staff=True), person("bare", is_staff=True, account=False)
    operator.user_permissions.add(Permission.objects.get(codename="change_order"))
    owner, root = person("owner"), person("root", is_staff=True, is_superuser=True)
    import_module("accounts.migrations.0002_roles").place_people(apps, None)
    placed = [list(user.groups.values_list("name", flat=True)) for user in (operator, bare, owner, root)]
    assert placed == [["operator"], [], ["trader"], []]
