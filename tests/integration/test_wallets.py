"""Wallets: made, imported, retired; which one an order gets; whose keys sign where."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from solders.keypair import Keypair

from accounts.models import Account
from orders.errors import ApiError
from orders.ledger import statements as ledger
from orders.ledger.statements import Connection
from orders.lifecycle import Event, Status
from orders.models import Order, Transaction
from orders.order_in import parse_order
from orders.order_wallet import with_wallet
from routing.cluster import GENESIS, cluster
from tests.factories import accepted, change, claimed, new_order, swap
from wallets.keys import sealed
from wallets.keys.local import KeyRefused
from wallets.keys.signers import Signers
from wallets.models import Wallet, WalletKey
from wallets.ring import WalletRing

DEVNET = GENESIS["devnet"]


@pytest.fixture
def keys(database: Connection, settings: Any, tmp_path: Path) -> Iterator[Path]:
    """WALLET_KEYS_DIR of an engine on devnet."""
    settings.EXECUTION_MODE, settings.WALLET_KEYS_DIR = "devnet", tmp_path / "keys"
    cluster.cache_clear()
    yield settings.WALLET_KEYS_DIR
    cluster.cache_clear()


def run(*arguments: str, capsys: pytest.CaptureFixture[str] | None = None) -> list[list[str]]:
    call_command("wallets", *arguments)
    return [line.split("\t") for line in capsys.readouterr().out.splitlines()] if capsys else []


def file_of(folder: Path, pair: Keypair, mode: int = 0o600) -> str:
    file = folder / f"{pair.pubkey()}.imported"
    file.write_text(json.dumps([*bytes(pair)]))
    file.chmod(mode)
    return str(file)


async def signs(folder: Path, address: str, on: str = DEVNET) -> bool:
    signer = await Signers(folder, lambda: on).of(address)
    return len(await signer.sign(b"message")) == 64 and signer.address == address


@pytest.mark.parametrize("source", ["file", "row"])
def test_a_new_wallet_signs_and_its_key_is_kept_where_it_was_wanted(
    keys: Path, source: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from asgiref.sync import async_to_sync

    monkeypatch.setenv(sealed.VARIABLE, sealed.made())
    [[_, account, name, address, mode, state, kept]] = run("create", "ada", "--source", source, capsys=capsys)
    assert (account, name, mode, state, kept) == ("ada", "main", "devnet", "active, default", source)
    assert async_to_sync(signs)(keys, address)
    assert (keys / f"{address}.json").exists() is (source == "file")
    assert WalletKey.objects.exists() is (source == "row")


def test_a_key_is_imported_once_and_signs_on_its_own_cluster_only(keys: Path, tmp_path: Path, settings: Any) -> None:
    from asgiref.sync import async_to_sync

    pair = Keypair()
    run("import", "ada", file_of(tmp_path, pair), "--name", "old")
    address = str(pair.pubkey())
    assert async_to_sync(signs)(keys, address)
    with pytest.raises(KeyRefused, match="of another cluster"):
        async_to_sync(signs)(keys, address, GENESIS["mainnet"])
    with pytest.raises(CommandError, match="is a wallet already"):
        run("import", "ada", file_of(tmp_path, pair), "--name", "again")
    settings.EXECUTION_MODE = "mainnet"
    cluster.cache_clear()
    with pytest.raises(CommandError, match="a key signs on one only"):
        run("import", "ada", file_of(tmp_path, pair))
    assert Wallet.objects.count() == 1


def test_what_cannot_be_imported_leaves_nothing(keys: Path, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="chmod 600"):
        run("import", "ada", file_of(tmp_path, Keypair(), 0o640))
    with pytest.raises(CommandError, match=sealed.VARIABLE):
        run("create", "ada", "--source", "row")
    run("create", "ada")
    with pytest.raises(CommandError, match="has a wallet named 'main'"):
        run("create", "ada")
    assert Wallet.objects.count() == 1 and len(list(keys.iterdir())) == 1


def test_the_mock_has_no_wallets(database: Connection) -> None:
    with pytest.raises(CommandError, match="the mock has no wallets"):
        run("create", "ada")


def test_a_key_that_is_anothers_or_open_is_not_used(keys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from asgiref.sync import async_to_sync

    [[*_, address, _mode, _state, _source]] = run("create", "ada", capsys=capsys)
    file = keys / f"{address}.json"
    file.chmod(0o644)
    with pytest.raises(KeyRefused, match="chmod 600"):
        async_to_sync(signs)(keys, address)
    file.chmod(0o600)
    file.write_text(json.dumps([*bytes(Keypair())]))
    with pytest.raises(KeyRefused, match="belongs to"):
        async_to_sync(signs)(keys, address)


def test_rotation_encrypts_every_row_anew(
    keys: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from asgiref.sync import async_to_sync

    old, new = sealed.made(), sealed.made()
    monkeypatch.setenv(sealed.VARIABLE, old)
    addresses = [run("create", "ada", "--name", name, "--source", "row", capsys=capsys)[0][3] for name in "abc"]
    monkeypatch.setenv(sealed.VARIABLE, f"{new},{old}")
    [[said]] = run("reseal", capsys=capsys)
    assert said.startswith("3 encrypted anew") and run("reseal", capsys=capsys)[0][0].startswith("0 encrypted")
    monkeypatch.setenv(sealed.VARIABLE, new)
    assert all(async_to_sync(signs)(keys, address) for address in addresses)
    monkeypatch.setenv(sealed.VARIABLE, old)
    with pytest.raises(KeyRefused, match="has no key"):
        async_to_sync(signs)(keys, addresses[0])


async def chosen(account_id: int, named: str | None = None) -> str | None:
    body = {"tokenIn": "SOL", "tokenOut": "USDC", "amount": "1"} | ({"wallet": named} if named else {})
    order = parse_order(json.dumps(body).encode())
    return (await with_wallet(WalletRing(), order, new_order(account_id))).wallet


def test_an_order_gets_the_wallet_it_names_or_the_default(keys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from asgiref.sync import async_to_sync

    first, second = (run("create", "ada", "--name", name, capsys=capsys)[0] for name in ("one", "two"))
    other = run("create", "bob", capsys=capsys)[0]
    ada = Account.objects.get(name="ada").pk
    choose = async_to_sync(chosen)
    assert choose(ada) == first[3]
    assert choose(ada, second[3]) == choose(ada, second[0]) == second[3]
    for unknown in (other[3], other[0], "nothing"):
        with pytest.raises(ApiError) as refused:
            choose(ada, unknown)
        assert refused.value.code == "UNKNOWN_WALLET"
    run("default", second[3])
    assert choose(ada) == second[3]
    run("retire", second[3])
    with pytest.raises(ApiError) as refused:
        choose(ada)
    assert refused.value.code == "NO_WALLET"
    with pytest.raises(ApiError) as refused:
        choose(ada, second[3])
    assert refused.value.code == "UNKNOWN_WALLET"
    with pytest.raises(KeyRefused, match="no wallet in use"):
        async_to_sync(signs)(keys, second[3])


def test_an_order_keeps_its_wallet_and_its_share_to_the_intent(database: Connection, account: int) -> None:
    order = accepted(database, new_order(account, wallet="W" * 44, amount=None, percent=50))
    taken = claimed(database, order)
    assert (taken.wallet, taken.amount, taken.percent) == ("W" * 44, None, 50)
    intent = swap(taken.id, wallet=taken.wallet)
    said = {"wallet": taken.wallet, "amountIn": "1.5"}
    build = change(taken, Event.BUILD)
    submit = change(taken, Event.SUBMIT, was=Status.BUILDING, seq=taken.seq + 1, data=said, intent=intent)
    assert all(ledger.record(database, [build, submit]))
    row, sent = Order.objects.get(pk=order.id), Transaction.objects.get(pk=intent.signature)
    assert (row.amount, row.percent, row.amount_in) == (None, 50, Decimal("1.5"))
    assert (sent.wallet, sent.amount_in) == (taken.wallet, Decimal("1.5"))
