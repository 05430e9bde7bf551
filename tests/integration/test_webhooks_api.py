"""Webhooks over REST, on a terminal and in the admin: who may, what is refused, and that a secret is shown once."""

import io
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django.fixtures import Settings

import celery_app  # noqa: F401  (the broker)
from accounts.models import Account, ApiKey
from orders.ids import uuid7
from orders.ledger.statements import Connection
from webhooks.models import Delivery, Endpoint
from webhooks.secrets import Unreadable, unseal
from webhooks.types import DEFAULT

pytestmark = pytest.mark.filterwarnings("ignore:No directory at")
PATH = "/api/webhooks"
HOOK = {"url": "https://example.com/hook", "types": ["order.confirmed"]}
ID = "01a21a8b-3da5-75f7-a05f-b3c92f31a9e3"


class Api:
    def __init__(self, account: int, *scopes: str) -> None:
        _, secret = ApiKey.issue(Account.objects.get(pk=account), scopes=list(scopes))
        self._client = Client(headers={"Host": "localhost", "Authorization": f"Bearer {secret}"})

    def __call__(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        options = {} if method == "get" else {"data": b"" if body is None else body, "content_type": "application/json"}
        answer = getattr(self._client, method)(path, **options)
        return answer.status_code, answer.json()


@pytest.fixture
def api(database: Connection, account: int) -> Api:
    return Api(account, "trade", "read")


def refused(answer: tuple[int, Any]) -> tuple[int, str, list[str]]:
    status, body = answer
    return status, body["error"]["code"], list(body["error"]["details"])


def test_a_webhook_s_life(api: Api) -> None:
    status, made = api("post", PATH, HOOK)
    assert status == 200 and made["secret"].startswith("whsec_") and made["types"] == ["order.confirmed"]
    path = f"{PATH}/{made['webhookId']}"
    shown = {name: value for name, value in made.items() if name != "secret"}
    assert api("get", PATH) == (200, {"webhooks": [shown]}) and api("get", path) == (200, shown)

    status, rotated = api("post", f"{path}/rotate")
    assert status == 200 and rotated["secret"] != made["secret"] and rotated["previousSecretUntil"]
    assert unseal(Endpoint.objects.get().previous_secret) == made["secret"], "and is not stored as it is"
    assert made["secret"].encode() not in bytes(Endpoint.objects.get().previous_secret)

    status, changed = api("patch", path, {"enabled": False, "types": ["alert.stop_failed", "order.failed"]})
    assert (status, changed["enabled"], changed["types"]) == (200, False, ["order.failed", "alert.stop_failed"])
    since = {"from": "2026-11-27T00:00:00Z", "to": "2026-11-28T00:00:00Z"}
    assert refused(api("post", f"{path}/replay", since))[:2] == (409, "WEBHOOK_DISABLED")
    api("patch", path, {"enabled": True})
    status, replayed = api("post", f"{path}/replay", since)
    assert status == 200 and replayed["replay"]["from"] == "2026-11-27T00:00:00.000000Z"
    assert refused(api("post", f"{path}/replay", since))[:2] == (409, "REPLAY_RUNNING")

    assert api("delete", path)[0] == 200 and api("get", path)[0] == 404 and api("delete", path)[0] == 404
    assert api("post", PATH, {"url": "https://example.com"})[1]["types"] == list(DEFAULT)


def test_deliveries_are_listed_newest_first(api: Api) -> None:
    path = f"{PATH}/{api('post', PATH, HOOK)[1]['webhookId']}/deliveries"
    endpoint, now = Endpoint.objects.get(), datetime.now(UTC)
    for seq, state in enumerate(("delivered", "parked", "waiting"), start=1):
        Delivery.objects.create(
            endpoint=endpoint,
            subject=ID,
            seq=seq,
            type="order.failed",
            at=now,
            state=state,
            queued_at=now,
            next_at=None if state != "waiting" else now,
        )
    status, listed = api("get", path + "?limit=2")
    assert status == 200 and [each["messageId"] for each in listed["deliveries"]] == [f"{ID}.3", f"{ID}.2"]
    assert [each["state"] for each in api("get", f"{path}?cursor={listed['next']}")[1]["deliveries"]] == ["delivered"]
    assert len(api("get", f"{path}?state=parked&orderId={ID}&type=order.failed")[1]["deliveries"]) == 1
    assert refused(api("get", path + "?state=lost")) == (400, "VALIDATION_FAILED", ["state"])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "url"),
        ({"url": "ftp://example.com/"}, "url"),
        ({"url": "http://example.com/"}, "url"),
        ({"url": "https://"}, "url"),
        ({"url": "https://user:pass@example.com/"}, "url"),
        ({"url": "https://example.com/#part"}, "url"),
        ({"url": "https://example.com:99999/"}, "url"),
        ({"url": "https://exa mple.com/"}, "url"),
        ({"url": "https://example.com/\u0000"}, "url"),
        ({"url": "https://example.com/" + "x" * 2000}, "url"),
        ({"url": 7}, "url"),
        ({**HOOK, "types": []}, "types"),
        ({**HOOK, "types": ["order.done"]}, "types"),
        ({**HOOK, "secret": "mine"}, "secret"),
    ],
)
def test_what_is_wrong_is_named_and_changes_nothing(api: Api, body: Any, field: str) -> None:
    assert refused(api("post", PATH, body)) == (400, "VALIDATION_FAILED", [field])
    assert not Endpoint.objects.exists()


def test_amendments_and_ranges_are_checked(api: Api) -> None:
    path = f"{PATH}/{api('post', PATH, HOOK)[1]['webhookId']}"
    for method, below, body, field in (
        ("patch", "", {}, "body"),
        ("patch", "", {"url": "https://example.com/#x"}, "url"),
        ("patch", "", {"types": ["x"]}, "types"),
        ("post", "/rotate", {"overlapSeconds": -1}, "overlapSeconds"),
        ("post", "/replay", {}, "from"),
        ("post", "/replay", {"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, "to"),
        ("post", "/replay", {"from": "2026-01-01T00:00:00Z", "to": "2026-03-01T00:00:00Z"}, "from"),
        ("post", "/replay", {"from": "2026-01-01T00:00:00"}, "from"),
    ):
        assert refused(api(method, path + below, body)) == (400, "VALIDATION_FAILED", [field]), body
    assert Endpoint.objects.get().url == HOOK["url"] and Endpoint.objects.get().replay_from is None


def test_it_takes_both_scopes_and_nobody_sees_another_s(api: Api, account: int, settings: Settings) -> None:
    path = f"{PATH}/{api('post', PATH, HOOK)[1]['webhookId']}"
    for scope, may_list in (("trade", 403), ("read", 200)):
        key = Api(account, scope)
        assert key("get", PATH)[0] == may_list
        assert (
            key("post", PATH, HOOK)[0] == 403
            and key("delete", path)[0] == 403
            and key("post", path + "/rotate")[0] == 403
        )
    stranger = Api(Account.objects.get_or_create(name="another")[0].pk, "trade", "read")
    assert stranger("get", PATH) == (200, {"webhooks": []})
    assert {stranger(method, path)[0] for method in ("get", "delete")} == {404}
    assert stranger("patch", path, {"enabled": False})[0] == 404 and stranger("get", path + "/deliveries")[0] == 404

    everybody = {**HOOK, "allAccounts": True}
    assert api("post", PATH, everybody)[0] == 403
    assert Api(account, "staff")("post", PATH, everybody)[1]["allAccounts"] is True
    settings.MAX_WEBHOOKS = 2
    assert refused(api("post", PATH, HOOK))[:2] == (409, "TOO_MANY_WEBHOOKS")


def test_under_another_secret_key_a_secret_cannot_be_read(api: Api, settings: Settings) -> None:
    api("post", PATH, HOOK)
    former, settings.SECRET_KEY = settings.SECRET_KEY, "another"
    with pytest.raises(Unreadable):
        unseal(Endpoint.objects.get().secret)
    settings.SECRET_KEY_FALLBACKS = [former]
    assert unseal(Endpoint.objects.get().secret).startswith("whsec_")


def test_the_command(api: Api) -> None:
    def command(*words: str) -> str:
        out = io.StringIO()
        call_command("webhooks", *words, stdout=out)
        return out.getvalue().strip()

    name, secret = command("create", "tester", "https://example.com/", "--types", "order.failed").split("\t")
    assert secret.startswith("whsec_") and secret not in command("list")
    assert command("list", "tester") == f"{name}\ttester\tenabled\thttps://example.com/\torder.failed"
    assert command("rotate", name).startswith("whsec_")
    command("replay", name, "2026-11-26T00:00:00Z", "2026-11-27T00:00:00Z")
    assert Endpoint.objects.get().replay_from is not None
    command("disable", name)
    assert "disabled" in command("list")
    command("enable", name)
    command("delete", name)
    assert not Endpoint.objects.exists()
    for wrong in (("create", "nobody", "https://example.com/"), ("create", "tester", "ftp://x"), ("delete", ID)):
        with pytest.raises(CommandError):
            command(*wrong)


def test_operators_look_and_send_again(api: Api, database: Connection) -> None:
    api("post", PATH, HOOK)
    endpoint, now = Endpoint.objects.get(), datetime.now(UTC)
    row = Delivery.objects.create(
        endpoint=endpoint,
        subject=uuid7(),
        seq=1,
        type="order.failed",
        at=now,
        state="parked",
        queued_at=now,
    )
    user = User.objects.create(username="hooks-operator", is_staff=True)
    user.groups.add(Group.objects.get(name="operator"))
    client = Client(headers={"Host": "localhost"})
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    try:
        for page in ("endpoint/", f"endpoint/{endpoint.pk}/change/", "delivery/", f"delivery/{row.pk}/change/"):
            answer = client.get(f"/admin/webhooks/{page}")
            assert answer.status_code == 200 and "example.com" in answer.content.decode(), page
            assert unseal(endpoint.secret) not in answer.content.decode() and "gAAAA" not in answer.content.decode()
        client.post("/admin/webhooks/delivery/", {"action": "send_again", "_selected_action": [row.pk]})
        assert Delivery.objects.get().state == "waiting"
        client.post("/admin/webhooks/endpoint/", {"action": "disable", "_selected_action": [str(endpoint.pk)]})
        assert not Endpoint.objects.get().enabled
    finally:
        user.delete()
