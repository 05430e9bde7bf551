"""Tokens over REST, in the admin and on the command line; what is not verified can take nobody's place."""

import io
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client

from accounts.models import Account, ApiKey
from orders.errors import ApiError
from orders.ledger.statements import Connection
from orders.order_in import OrderIn, checked
from routing.listing import clean
from routing.mock.tokens import SOL, TOKENS, USDC
from routing.world import registry
from tests.unit.test_requests import NOW

MINT = "Gh9ZwEmdLJ8DscKNTkTqPbNwLNNBjuSzaG9Vp2KGtKJr"
OTHER = "9n4nbM75f5Ui33ZbPYXn59EwSgE8CGsHtAeTH5YFeJ9E"
HOSTILE = '<img src=x onerror="alert(1)">'


@pytest.fixture(autouse=True)
def database(database: Connection) -> Iterator[Connection]:
    database.execute("TRUNCATE routing_token")
    registry.refresh()
    yield database
    database.execute("TRUNCATE routing_token")
    registry.refresh()


class Api:
    def __init__(self, scopes: list[str]) -> None:
        account = Account.objects.get_or_create(name="tokens")[0]
        self._headers = {"HTTP_AUTHORIZATION": f"Bearer {ApiKey.issue(account, scopes=scopes)[1]}"}
        self._client = Client()

    def get(self, path: str) -> Any:
        answer = self._client.get(path, **self._headers)
        assert answer.status_code == 200, answer.content
        return answer.json()

    def post(self, **body: Any) -> tuple[int, Any]:
        answer = self._client.post("/api/tokens", json.dumps(body), content_type="application/json", **self._headers)
        return answer.status_code, answer.json()


@pytest.fixture
def staff() -> Api:
    return Api(["staff", "read", "trade"])


def refused(answer: tuple[int, Any]) -> tuple[int, str, list[str]]:
    status, body = answer
    return status, body["error"]["code"], list(body["error"]["details"])


def test_the_five_tokens_come_with_the_mock(staff: Api) -> None:
    assert [token["symbol"] for token in staff.get("/api/tokens")["tokens"]] == [token.symbol for token in TOKENS]
    [sol] = staff.get(f"/api/tokens?query={SOL.mint}")["tokens"]
    assert sol == {
        "mint": SOL.mint,
        "symbol": "SOL",
        "name": "Wrapped SOL",
        "decimals": 9,
        "program": "token",
        "extensions": [],
        "verified": True,
        "source": "mock",
        "logo": None,
    }
    assert [token["symbol"] for token in staff.get("/api/tokens?query=usd")["tokens"]] == ["USDC"]
    assert staff.get("/api/tokens?query=nothing")["tokens"] == []
    assert len(staff.get("/api/tokens?limit=2")["tokens"]) == 2


def test_staff_adds_a_token_and_verifies_it(staff: Api) -> None:
    status, token = staff.post(mint=MINT, symbol="WIF", name="dogwifhat", decimals=6)
    assert (status, token["verified"], token["decimals"]) == (200, False, 6)
    known = registry.current()
    assert known.resolve("WIF") is None, "not before it is verified"
    pair = known.pair(MINT, "USDC")
    assert pair is not None and pair.name == f"{MINT}-USDC"
    assert staff.post(mint=MINT, verified=True)[1]["name"] == "dogwifhat"
    pair = registry.current().pair_named("wif-usdc")
    assert pair is not None and (pair.name, pair.token_in.mint) == ("WIF-USDC", MINT)
    assert "WIF-USDC" in {pair["pair"] for pair in staff.get("/api/pairs")["pairs"]}


def test_a_symbol_that_is_not_verified_is_nobody_s(staff: Api) -> None:
    """Any mint may call itself SOL; orders for SOL go to the verified one, and nothing is called SOL that is not."""
    assert staff.post(mint=MINT, symbol="SOL", name="Solana", decimals=9)[0] == 200
    order = OrderIn(token_in="SOL", token_out="USDC", amount=Decimal(1))
    assert checked(order, account_id=1, idempotency_key=None, now=NOW).token_in == SOL.mint
    assert registry.current().label(MINT) == MINT
    assert [token["mint"] for token in staff.get("/api/tokens?query=sol")["tokens"]] == [SOL.mint, MINT]
    assert refused(staff.post(mint=MINT, verified=True)) == (400, "VALIDATION_FAILED", ["symbol"])
    assert refused(staff.post(mint=MINT, symbol="sol", verified=True)) == (400, "VALIDATION_FAILED", ["symbol"])
    assert staff.post(mint=SOL.mint, verified=False)[0] == 200
    with pytest.raises(ApiError) as caught:
        checked(order, account_id=1, idempotency_key=None, now=NOW)
    assert caught.value.code == "UNKNOWN_TOKEN"
    assert staff.post(mint=MINT, verified=True)[0] == 200
    assert checked(order, account_id=1, idempotency_key=None, now=NOW).token_in == MINT


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"decimals": None}, "decimals"),
        ({"decimals": -1}, "decimals"),
        ({"decimals": 19}, "decimals"),
        ({"mint": MINT[:31]}, "mint"),
        ({"mint": "0" + MINT[1:]}, "mint"),
        ({"mint": "1" * 44}, "mint"),
        ({"symbol": "x" * 33}, "symbol"),
        ({"symbol": "A\u202eB"}, "symbol"),
        ({"symbol": "A\nB"}, "symbol"),
        ({"symbol": "A\u200b"}, "symbol"),
        ({"name": "x" * 129}, "name"),
        ({"symbol": "", "verified": True}, "symbol"),
        ({"symbol": "A-B", "verified": True}, "symbol"),
        ({"symbol": "A:B", "verified": True}, "symbol"),
        ({"symbol": "x" * 17, "verified": True}, "symbol"),
        ({"symbol": "ЅОL", "verified": True}, "symbol"),
        ({"symbol": HOSTILE, "verified": True}, "symbol"),
        ({"logo": "javascript:alert(1)"}, "logo"),
        ({"logo": "http://example.org/a.png"}, "logo"),
        ({"program": "other"}, "program"),
        ({"rank": 0}, "rank"),
    ],
)
def test_what_makes_no_sense_is_refused(staff: Api, changes: dict[str, Any], field: str) -> None:
    body = {"mint": MINT, "symbol": "A", "decimals": 6, **changes}
    answer = refused(staff.post(**{name: value for name, value in body.items() if value is not None}))
    assert answer == (400, "VALIDATION_FAILED", [field])
    assert registry.refresh().resolve(MINT) is None


def test_what_the_mint_says_is_not_changed(staff: Api) -> None:
    assert staff.post(mint=MINT, decimals=6, program="token-2022")[1]["program"] == "token-2022"
    assert refused(staff.post(mint=MINT, decimals=7)) == (400, "VALIDATION_FAILED", ["decimals"])
    assert refused(staff.post(mint=MINT, program="token")) == (400, "VALIDATION_FAILED", ["program"])
    assert staff.post(mint=MINT, decimals=6)[0] == 200


def test_only_staff_changes_tokens(database: Connection) -> None:
    trader = Api(["read", "trade"])
    assert trader.post(mint=MINT, decimals=6)[0] == 403
    assert registry.refresh().resolve(MINT) is None
    assert len(trader.get("/api/tokens")["tokens"]) == len(TOKENS)


def test_hostile_symbols_are_shown_as_text(staff: Api, client: Client) -> None:
    assert staff.post(mint=MINT, symbol=HOSTILE, name="שלום", decimals=6)[0] == 200
    User.objects.filter(username="boss").delete()
    client.force_login(User.objects.create_superuser("boss"))
    text = client.get("/admin/routing/tokenrow/").content.decode()
    assert HOSTILE not in text and "<bdi>&lt;img src=x" in text
    assert HOSTILE not in client.get("/").content.decode()
    assert clean(f"\u202e{HOSTILE}\n\x1b[2J" + "x" * 500, 32) == f"{HOSTILE}[2"


def test_the_command_adds_and_lists(capsys: pytest.CaptureFixture[str]) -> None:
    out = io.StringIO()
    call_command("tokens", "add", MINT, "--symbol", "WIF", "--decimals", "6", "--verified", stdout=out)
    assert out.getvalue().split("\t")[:4] == [MINT, "WIF", "verified", "6"]
    token = registry.refresh().resolve("wif")
    assert token is not None and token.mint == MINT
    out = io.StringIO()
    call_command("tokens", "list", stdout=out)
    assert [line.split("\t")[1] for line in out.getvalue().splitlines()] == [*(t.symbol for t in TOKENS), "WIF"]
    for wrong in ([OTHER], [OTHER, "--decimals", "6", "--symbol", "usdc", "--verified"], ["nonsense"]):
        with pytest.raises(CommandError):
            call_command("tokens", "add", *wrong, stdout=io.StringIO())


def test_the_admin_adds_and_verifies(client: Client) -> None:
    User.objects.filter(username="boss").delete()
    client.force_login(User.objects.create_superuser("boss"))
    add = "/admin/routing/tokenrow/add/"
    body = {"mint": MINT, "decimals": "6", "symbol": "WIF", "name": "dogwifhat", "logo": ""}
    assert "is required" in client.post(add, body | {"decimals": ""}).content.decode()
    assert "verified for another mint" in client.post(add, body | {"symbol": "usdc", "verified": "on"}).content.decode()
    assert registry.refresh().resolve(MINT) is None
    assert client.post(add, body).status_code == 302
    token = registry.current().resolve(MINT)
    assert token is not None and (token.label, token.source, token.decimals) == (MINT, "admin", 6)
    page = f"/admin/routing/tokenrow/{MINT}/change/"
    assert MINT in client.get(page).content.decode()
    assert client.post(page, {"symbol": "WIF", "name": "", "logo": "", "verified": "on"}).status_code == 302
    token = registry.current().resolve("WIF")
    assert token is not None and token.mint == MINT
    assert client.post(f"/admin/routing/tokenrow/{MINT}/delete/", {"post": "yes"}).status_code == 403
    assert USDC.mint in client.get("/admin/routing/tokenrow/?q=usd").content.decode()
