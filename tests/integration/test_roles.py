"""Who may do what: the matrix of docs/security.md, cell by cell, on a real database."""

import asyncio
import re
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.test import Client, RequestFactory
from django.urls import reverse
from pytest_django.fixtures import Settings

from accounts.auth import KeyRing, key_ring
from accounts.limits import Limiter
from accounts.models import Account, ApiKey
from orders.http.sockets import Sockets
from orders.ledger.statements import Connection
from orders.streams.snapshots import Reader
from orders.streams.subscriptions import Subscriptions
from tests.factories import accepted, limit_order
from tests.integration.test_streams import Browser
from tests.serving import Said, serving

pytestmark = [
    pytest.mark.filterwarnings("ignore:No directory at"),
    pytest.mark.filterwarnings(r"ignore:\s*The 'queue' task attribute"),  # Celery's own, when its tasks are listed.
]
BACKEND = "django.contrib.auth.backends.ModelBackend"
WHO = ("nobody", "bare staff", "trader", "operator", "administrator", "superuser", "trade key", "staff key")
MATRIX = {
    # What                       nobody, bare staff, trader, operator, administrator, superuser, trade key, staff key
    "own orders": (401, 200, 200, 200, 200, 200, 200, 200),
    "another's order": (401, 404, 404, 200, 200, 200, 404, 200),
    "cancel another's order": (401, 404, 404, 200, 200, 200, 404, 200),
    "another's socket": (4401, 4404, 4404, 1, 1, 1, 4404, 1),
    "dead letters": (401, 403, 403, 200, 200, 200, 403, 200),
    "mock market": (401, 403, 403, 404, 404, 404, 403, 404),
    "mock chain": (401, 403, 403, 200, 200, 200, 403, 200),
    "localnet fault": (401, 403, 403, 404, 404, 404, 403, 404),
    "localnet pool": (401, 403, 403, 404, 404, 404, 403, 404),
    "mock controls on the page": (0, 0, 0, 1, 1, 1, 0, 0),
    "admin": (302, 200, 302, 200, 200, 200, 302, 302),
    "figures": (0, 0, 0, 1, 1, 1, 0, 0),
    "admin: orders": (302, 403, 302, 200, 200, 200, 302, 302),
    "admin: cancel an order": (302, 403, 302, 200, 200, 200, 302, 302),
    "admin: new account": (302, 403, 302, 403, 200, 200, 302, 302),
    "admin: new key": (302, 403, 302, 403, 200, 200, 302, 302),
    "admin: new person": (302, 403, 302, 403, 200, 200, 302, 302),
    "admin: new group": (302, 403, 302, 403, 403, 200, 302, 302),
    "admin: schedule": (302, 403, 302, 200, 200, 200, 302, 302),
    "admin: new in schedule": (302, 403, 302, 403, 200, 200, 302, 302),
    "admin: lift a lock": (302, 403, 302, 403, 200, 200, 302, 302),
    "flower": (302, 403, 403, 200, 200, 200, 302, 302),
    "flower: change a worker": (302, 403, 403, 403, 403, 200, 302, 302),
}
CELLS = [(what, who, wanted) for what, row in MATRIX.items() for who, wanted in zip(WHO, row, strict=True)]


@pytest.fixture(autouse=True)
def public(database: Connection, settings: Settings) -> Iterator[None]:
    """As on a public address: nobody acts as `demo`."""
    settings.LOCAL_MODE = False
    key_ring.cache_clear()
    yield
    key_ring.cache_clear()
    Account.objects.filter(name__startswith="role-").delete()
    User.objects.filter(username__startswith="role-").delete()


@pytest.fixture
def flower(settings: Settings) -> Iterator[None]:
    """Stands where Flower would listen."""
    with serving(lambda _: Said()) as url:
        settings.FLOWER_URL = f"{url}/flower"
        yield


def person(who: str, *, group: str | None = None, account: bool = True, **fields: Any) -> User:
    user = User.objects.create(username=f"role-{who}", **fields)
    if group:
        user.groups.add(Group.objects.get(name=group))
    if account:
        Account.objects.create(name=f"role-{who}", user=user)
    return user


def signed_in(user: User) -> Client:
    client = Client(headers={"Host": "localhost"})
    client.force_login(user, backend=BACKEND)
    return client


def client_of(who: str) -> Client:
    match who:
        case "nobody":
            return Client(headers={"Host": "localhost"})
        case "trade key" | "staff key":
            scopes = ["trade", "read"] + (["staff"] if who == "staff key" else [])
            _, secret = ApiKey.issue(Account.objects.create(name="role-key"), scopes=scopes)
            return Client(headers={"Host": "localhost", "Authorization": f"Bearer {secret}"})
        case "bare staff":
            return signed_in(person(who, is_staff=True))
        case "superuser":
            return signed_in(person(who, is_staff=True, is_superuser=True))
        case "trader":
            return signed_in(person(who, group="trader"))
        case _:
            return signed_in(person(who, group=who, is_staff=True))


def from_socket(client: Client, order_id: UUID) -> int:
    """1: the snapshot came; otherwise the close code."""
    headers = [(b"host", b"engine.example"), (b"origin", b"http://engine.example")]
    if session := client.cookies.get("sessionid"):
        headers.append((b"cookie", f"sessionid={session.value}".encode()))
    if authorization := client.defaults.get("HTTP_AUTHORIZATION"):
        headers.append((b"authorization", authorization.encode()))

    async def run() -> int:
        hub, reader, browser = Subscriptions(), Reader(), Browser()
        sockets = Sockets(
            lambda: hub,
            lambda: reader,
            KeyRing(local_mode=False),
            max_open=10,
            max_account=10,
            prices=lambda: pytest.fail("no prices here"),
            limiter=Limiter(settings.REDIS_URL, account=None, address=None),
        )
        scope = {
            "headers": headers,
            "scheme": "ws",
            "client": ("127.0.0.1", 1),
            "query_string": b"",
            "url_route": {"kwargs": {"order_id": str(order_id)}},
        }
        task = asyncio.create_task(sockets.order(scope, browser.receive, browser.send))
        said = await browser.receives()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await reader.close()
        if hub._dispatcher is not None:
            hub._dispatcher.cancel()
        return int(said.get("closed", 1))

    return asyncio.run(run())


def asked(what: str, client: Client, order_id: UUID) -> int:
    """The status of the answer, or whether something is on the page."""
    json = {"content_type": "application/json"}
    match what:
        case "own orders":
            return client.get("/api/orders").status_code
        case "another's order":
            return client.get(f"/api/orders/{order_id}").status_code
        case "cancel another's order":
            return client.delete(f"/api/orders/{order_id}").status_code
        case "another's socket":
            return from_socket(client, order_id)
        case "dead letters":
            return client.get("/api/dead-letters").status_code
        case "mock market":  # Nothing has this name, so who may ask gets that answer.
            return client.post("/api/mock/market", {"pair": "NONE-USDC"}, **json).status_code
        case "localnet fault":  # On the mock there is none.
            return client.post("/api/localnet/fault", {"fault": "drop"}, **json).status_code
        case "localnet pool":
            body = {"pair": "NEW-USDC", "venue": "raydium", "price": "1"}
            return client.post("/api/localnet/pool", body, **json).status_code
        case "mock chain":
            return client.get("/api/mock/chain").status_code
        case "mock controls on the page":
            return int(b'id="controls"' in client.get("/").content)
        case "admin":
            return client.get("/admin/").status_code
        case "figures":
            return int(b'id="landing"' in client.get("/admin/").content)
        case "admin: orders":
            return client.get("/admin/orders/order/").status_code
        case "admin: cancel an order":
            return client.get(f"/admin/orders/order/{order_id}/cancel/").status_code
        case "admin: schedule":
            return client.get("/admin/django_celery_beat/periodictask/").status_code
        case "admin: lift a lock":
            return client.get("/admin/axes/accessattempt/").status_code
        case "flower":
            return client.get("/flower/tasks").status_code
        case "flower: change a worker":
            return client.post("/flower/api/worker/shutdown/x", headers={"Origin": "http://localhost"}).status_code
        case _:
            names = {"account": "accounts_account", "key": "accounts_apikey", "person": "auth_user"}
            names |= {"group": "auth_group", "schedule": "django_celery_beat_periodictask"}
            return client.get(reverse(f"admin:{names[what.split()[-1]]}_add")).status_code


@pytest.mark.parametrize(("what", "who", "wanted"), CELLS, ids=[f"{what}: {who}" for what, who, _ in CELLS])
def test_the_matrix(flower: None, database: Connection, account: int, what: str, who: str, wanted: int) -> None:
    order = accepted(database, limit_order(account))
    assert asked(what, client_of(who), order.id) == wanted


def base_actions(model_admin: Any) -> list[tuple[Any, str, str]]:
    found: list[tuple[Any, str, str]] = model_admin._get_base_actions()
    return found


def actions() -> list[tuple[Any, str, list[str]]]:
    """(model admin, action, permissions it names) of everything that is registered, the theme's buttons included."""
    found = []
    for model_admin in admin.site._registry.values():
        for function, name, _ in base_actions(model_admin):
            found.append((model_admin, name, list(getattr(function, "allowed_permissions", []))))
        for buttons in ("actions_list", "actions_row", "actions_detail", "actions_submit_line"):
            for name in getattr(model_admin, buttons, ()):
                found.append((model_admin, name, list(getattr(getattr(model_admin, name), "allowed_permissions", []))))
    return found


NEEDED = {
    **dict.fromkeys(("enable_tasks", "disable_tasks", "toggle_tasks", "run_tasks"), "change"),
    **dict.fromkeys(("delete_selected", "cleanup_expired_attempts"), "delete"),
    **dict.fromkeys(("cancel_orders", "requeue_letters", "cancel_order", "requeue_order"), "operate_orders"),
    **dict.fromkeys(("enable", "disable", "send_again", "halt", "reduce", "activate"), "operate_orders"),
    "revoke": "change",
}


def needed(model_admin: Any, action: str) -> set[str]:
    """The permissions that offer the action. Of a model that nobody may delete: none."""
    verb, options = NEEDED[action], model_admin.opts
    if action == "delete_selected" and type(model_admin).__name__ in NEVER_DELETED:
        return set()
    return {
        "accounts.operate_orders" if verb == "operate_orders" else f"{options.app_label}.{verb}_{options.model_name}"
    }


NEVER_DELETED = {
    "OrderAdmin",
    "DeadLetterAdmin",
    "ExecutorAdmin",
    "PlanAdmin",
    "RuleAdmin",
    "ChangeAdmin",
    "TokenAdmin",
    "AccountAdmin",
    "ApiKeyAdmin",
    "LogAdmin",
    "GroupAdmin",
    "WalletAdmin",
    "EndpointAdmin",
    "DeliveryAdmin",
}


def test_the_sidebar_links_to_nothing_that_is_refused(database: Connection) -> None:
    for who in ("operator", "administrator"):
        client = client_of(who)
        links = set(re.findall(r'href="(/admin/[a-z_]+/[a-z]+/)"', client.get("/admin/").content.decode()))
        assert {"/admin/orders/order/"} <= links
        assert {link: status for link in links if (status := client.get(link).status_code) != 200} == {}


def test_every_action_names_its_permission() -> None:
    assert len(actions()) > 15
    assert [(str(model_admin), name) for model_admin, name, permissions in actions() if not permissions] == []


def test_each_single_permission_offers_its_own_actions_and_no_others(database: Connection) -> None:
    user = person("one", is_staff=True, account=False)
    for permission in Permission.objects.select_related("content_type"):
        user.user_permissions.set([permission])
        held = f"{permission.content_type.app_label}.{permission.codename}"
        request = RequestFactory().get("/")
        request.user = User.objects.get(pk=user.pk)  # Its permissions are asked for anew.
        for model_admin in admin.site._registry.values():
            offered = set(model_admin.get_actions(request))
            wanted = {name for _, name, _ in base_actions(model_admin) if held in needed(model_admin, name)}
            assert offered == wanted, (held, str(model_admin))


def test_view_only_staff_does_not_touch_the_schedule(database: Connection) -> None:
    from django_celery_beat.models import IntervalSchedule, PeriodicTask

    every, _ = IntervalSchedule.objects.get_or_create(every=500, period="microseconds")
    task, _ = PeriodicTask.objects.get_or_create(name="role-task", defaults={"task": "x", "interval": every})
    user = person("looker", is_staff=True, account=False)
    user.user_permissions.add(Permission.objects.get(codename="view_periodictask"))
    url = "/admin/django_celery_beat/periodictask/"
    for action in ("disable_tasks", "toggle_tasks", "run_tasks"):
        signed_in(user).post(url, {"action": action, "_selected_action": [task.pk]})
        task.refresh_from_db()
        assert task.enabled
    user.user_permissions.add(Permission.objects.get(codename="change_periodictask"))
    signed_in(user).post(url, {"action": "disable_tasks", "_selected_action": [task.pk]})
    task.refresh_from_db()
    assert not task.enabled
    task.delete()


@pytest.mark.parametrize("path", ["%00", "task/%00", "task/%0a", "%7f"])
def test_flower_is_not_asked_for_what_no_address_can_hold(flower: None, path: str) -> None:
    assert client_of("operator").get(f"/flower/{path}").status_code in (400, 404)


@pytest.mark.parametrize("origin", ["http://[", "https://localhost", "http://localhost:1", "null", "", "evil"])
def test_flower_is_changed_from_our_own_page_only(flower: None, origin: str) -> None:
    answer = client_of("superuser").post("/flower/api/worker/shutdown/x", headers={"Origin": origin})
    assert answer.status_code == 403
