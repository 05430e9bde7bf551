"""What the command `doctor` finds, on a real localnet, and with nodes, keys and wallets that are not as they must be."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import redis
from django.core.management import CommandError, call_command

from orders.ledger.statements import Connection
from routing.cluster import cluster
from routing.solana.nodes import NO_HISTORY
from routing.solana.vendors.allowance import rest_key, server_of
from routing.world import _Opened
from tests.localnet.node import Localnet, running
from tests.serving import Asked, Said, serving
from wallets.models import Wallet

Serve = Callable[[dict[str, Any]], str]


@pytest.fixture(scope="module")
def node() -> Iterator[Localnet]:
    with running(slot_ms=200, hold="") as made:
        yield made


@pytest.fixture
def engine(
    database: Connection, node: Localnet, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    """Settings of an engine on that localnet; `ada` has a wallet with 1 SOL."""
    # This process may have made the mock's world for tests before.
    monkeypatch.setattr("routing.world._opened", _Opened())
    settings.EXECUTION_MODE, settings.WALLET_KEYS_DIR = "localnet", tmp_path / "keys"
    settings.DATA_DIR, settings.RPC_URLS = tmp_path, [node.addresses["rpcUrl"]]
    cluster.cache_clear()
    call_command("wallets", "create", "ada", stdout=StringIO())
    node.control("give", owner=wallet().address, token="SOL", amount="1")
    yield settings
    cluster.cache_clear()


@pytest.fixture
def serve(node: Localnet) -> Iterator[Serve]:
    """Starts a node that answers as the localnet does, apart from these answers by method; its URL."""
    with ExitStack() as servers:

        def start(instead: dict[str, Any]) -> str:
            def answer(asked: Asked) -> Said:
                call = json.loads(asked.body)
                said = instead.get(call["method"]) or {"result": node.rpc(call["method"], *call["params"])}
                return Said(json.dumps({"jsonrpc": "2.0", "id": call["id"], **said}).encode())

            return servers.enter_context(serving(answer))

        yield start


def wallet() -> Wallet:
    return Wallet.objects.get()


def doctor() -> tuple[list[str], list[str]]:
    """(what is well, what is to mend)."""
    out, wrong = StringIO(), False
    try:
        call_command("doctor", stdout=out)
    except CommandError:
        wrong = True
    lines = out.getvalue().splitlines()
    mend = [line for line in lines if line.startswith("MEND")]
    assert wrong is bool(mend)
    return [line for line in lines if line.startswith("ok")], mend


def test_an_engine_that_is_well_has_nothing_to_mend(engine: Any) -> None:
    well, mend = doctor()
    assert mend == []
    said = "\n".join(well)
    for part in (
        "mode: localnet",
        "right cluster",
        "keeps transaction history",
        "owner's alone",
        "1 SOL",
        "redis",
        "clock",
    ):
        assert part in said


@pytest.mark.parametrize(
    ("instead", "said"),
    [
        ({"getGenesisHash": {"result": "7" * 44}}, "of the cluster 777"),
        ({"getSignatureStatuses": {"error": {"code": NO_HISTORY, "message": "no history"}}}, "no transaction history"),
        ({"getBlockTime": {"result": 1_000_000_000}}, "let NTP set"),
        ({"getSlot": {"error": {"code": 429, "message": "Too many requests"}}}, "RPC_REQUESTS_PER_S"),
        ({"getSlot": {"result": 10**9}}, "slots behind the others"),
        ({"getSlot": {"result": "soon"}}, "check its address"),
    ],
)
def test_a_node_that_must_not_be_used_is_named(engine: Any, serve: Serve, instead: dict[str, Any], said: str) -> None:
    engine.RPC_URLS = [*engine.RPC_URLS, serve(instead)]
    _, mend = doctor()
    assert mend and all(said in line for line in mend), mend


def test_a_node_that_is_away_is_named_and_its_key_is_not(engine: Any) -> None:
    engine.RPC_URLS = [
        *engine.RPC_URLS,
        "http://127.0.0.1:9/?api-key=q1w2e3r4t5",
        "http://rpc.invalid/?api-key=q1w2e3r4t5",
    ]
    well, mend = doctor()
    assert [line.split()[2] for line in mend] == ["127.0.0.1:9:", "rpc.invalid:", "rpc.invalid:"]
    assert "without TLS" in mend[1] and "q1w2e3r4t5" not in "".join(well + mend)


def test_a_key_that_is_open_or_gone_is_named(engine: Any) -> None:
    file = engine.WALLET_KEYS_DIR / f"{wallet().address}.json"
    file.chmod(0o640)
    [opened] = doctor()[1]
    file.unlink()
    [gone] = doctor()[1]
    assert "may be read by others" in opened and "not at hand" in gone


def test_a_wallet_that_cannot_pay_is_named(engine: Any, node: Localnet) -> None:
    engine.WALLET_SOL_RESERVE = 10**9
    [poor] = doctor()[1]
    assert "send it SOL: orders need 1.001" in poor


def test_without_a_wallet_nothing_can_be_executed(engine: Any) -> None:
    wallet().delete()
    [none] = doctor()[1]
    assert "wallets create" in none


def over_http(engine: Any, per_s: float, max_age_ms: int = 1_500) -> tuple[list[str], list[str]]:
    """What doctor says of rates."""
    modes = {"RAYDIUM": "http", "METEORA": "both"}
    engine.VENUE_ACCESS = engine.VENUE_ACCESS | {"modes": modes, "raydium_per_s": 5.0, "jupiter_per_s": per_s}
    engine.QUOTE_MAX_AGE_MS = max_age_ms
    well, mend = doctor()
    return [line for line in well if ": " in line and "rate of" in line], mend


def test_rates_are_told_and_one_at_which_prices_grow_stale_is_named(engine: Any) -> None:
    well, mend = doctor()
    assert mend == [] and any("rate of nodes: any number" in line for line in well)
    assert not any("JUPITER_REQUESTS_PER_S" in line for line in well), "nobody is asked over HTTP"
    well, mend = over_http(engine, 1)
    assert any("5 requests/s for all processes (RAYDIUM_REQUESTS_PER_S)" in line for line in well)
    (slow,) = mend
    assert "prices are renewed every 1 s" in slow and "QUOTE_MAX_AGE_MS to 2500" in slow
    for per_s, max_age_ms in ((1, 2_500), (10, 1_500), (0, 1_500)):
        well, mend = over_http(engine, per_s, max_age_ms)
        assert mend == [] and any("JUPITER_REQUESTS_PER_S" in line for line in well)


def test_a_server_that_refuses_just_now_is_named(engine: Any) -> None:
    url = engine.VENUE_ACCESS["jupiter_url"]
    with closing(redis.Redis.from_url(engine.REDIS_URL)) as client:
        client.set(rest_key(server_of(url)), "1", px=30_000)
        try:
            (refusing,) = over_http(engine, 10)[1]
        finally:
            client.delete(rest_key(server_of(url)))
    assert "refuses: it wants to be left alone for" in refusing and "JUPITER_REQUESTS_PER_S" in refusing
