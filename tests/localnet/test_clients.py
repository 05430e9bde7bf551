"""Clients that others wrote use it as it is: solana-py and @solana/web3.js."""

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Confirmed, Processed
from solana.rpc.models import TokenAccountOpts
from solana.rpc.websocket_api import SolanaWsClient
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, create_account
from solders.transaction import VersionedTransaction
from spl.token import instructions as spl
from spl.token import models
from spl.token.constants import TOKEN_PROGRAM_ID

from tests.localnet.node import Localnet
from tests.localnet.node import running as a_localnet

HERE = Path(__file__).parent
AIRDROP = 5 * 10**9


@pytest.fixture(scope="module")
def running() -> Iterator[Localnet]:
    """Blocks by the clock."""
    with a_localnet(slot_ms=100) as made:
        yield made


async def test_solana_py_mints_pays_and_reads_back(running: Localnet) -> None:
    client = AsyncClient(running.addresses["rpcUrl"], commitment=Confirmed)
    payer, mint, other = Keypair(), Keypair(), Pubkey.new_unique()
    assert await client.is_connected()
    airdrop = (await client.request_airdrop(payer.pubkey(), AIRDROP)).value
    await client.confirm_transaction(airdrop, Confirmed)
    assert (await client.get_balance(payer.pubkey(), Confirmed)).value == AIRDROP
    rent = (await client.get_minimum_balance_for_rent_exemption(82)).value
    own, theirs = (spl.get_associated_token_address(owner, mint.pubkey()) for owner in (payer.pubkey(), other))
    latest = (await client.get_latest_blockhash(Confirmed)).value
    instructions = [
        create_account(
            CreateAccountParams(
                from_pubkey=payer.pubkey(), to_pubkey=mint.pubkey(), lamports=rent, space=82, owner=TOKEN_PROGRAM_ID
            )
        ),
        spl.initialize_mint(
            models.InitializeMintParams(
                decimals=6, program_id=TOKEN_PROGRAM_ID, mint=mint.pubkey(), mint_authority=payer.pubkey()
            )
        ),
        spl.create_associated_token_account(payer.pubkey(), payer.pubkey(), mint.pubkey()),
        spl.create_associated_token_account(payer.pubkey(), other, mint.pubkey()),
        spl.mint_to(
            models.MintToParams(
                program_id=TOKEN_PROGRAM_ID,
                mint=mint.pubkey(),
                dest=own,
                mint_authority=payer.pubkey(),
                amount=1_000_000,
            )
        ),
        spl.transfer_checked(
            models.TransferCheckedParams(
                program_id=TOKEN_PROGRAM_ID,
                source=own,
                mint=mint.pubkey(),
                dest=theirs,
                owner=payer.pubkey(),
                amount=400_000,
                decimals=6,
            )
        ),
    ]
    message = MessageV0.try_compile(payer.pubkey(), instructions, [], latest.blockhash)
    transaction = VersionedTransaction(message, [payer, mint])
    simulated = (await client.simulate_transaction(transaction)).value
    assert simulated.err is None and (simulated.units_consumed or 0) > 10_000
    signature = (await client.send_raw_transaction(bytes(transaction))).value
    await client.confirm_transaction(signature, Confirmed, last_valid_block_height=latest.last_valid_block_height)
    assert (await client.get_token_account_balance(theirs)).value.ui_amount_string == "0.4"
    read = (await client.get_transaction(signature, max_supported_transaction_version=0, commitment=Confirmed)).value
    assert read is not None and read.transaction.meta is not None
    after = {str(each.owner): each.ui_token_amount.amount for each in read.transaction.meta.post_token_balances or ()}
    assert after == {str(payer.pubkey()): "600000", str(other): "400000"}
    account = (await client.get_account_info(own)).value
    assert account is not None and len(account.data) == 165
    held = await client.get_token_accounts_by_owner(payer.pubkey(), TokenAccountOpts(program_id=TOKEN_PROGRAM_ID))
    assert len(held.value) == 1
    assert len((await client.get_signatures_for_address(mint.pubkey())).value) == 1
    await client.close()


async def test_solana_py_subscribes(running: Localnet) -> None:
    client = AsyncClient(running.addresses["rpcUrl"], commitment=Confirmed)
    async with SolanaWsClient(running.addresses["wsUrl"]) as socket, asyncio.timeout(60):
        payer = Keypair()
        account = await socket.account_subscribe(pubkey=payer.pubkey(), commitment=Processed, encoding="base64")
        airdrop = (await client.request_airdrop(payer.pubkey(), AIRDROP)).value
        await socket.signature_subscribe(signature=airdrop, commitment=Confirmed)
        kinds = {type(await socket.recv()).__name__ for _ in range(2)}
        assert kinds == {"AccountNotification", "SignatureNotification"}
        await socket.unsubscribe(account)
    await client.close()


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """@solana/web3.js and @solana/spl-token as package-lock.json pins them."""
    if shutil.which("npm") is None:
        pytest.skip("there is no npm here")
    folder = tmp_path_factory.mktemp("web3")
    for name in ("package.json", "package-lock.json", "web3.mjs"):
        shutil.copy(HERE / "web3" / name, folder)
    done = subprocess.run(
        ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder, capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"the npm packages are not to be had here: {done.stderr.strip()[-300:]}")
    return folder


def test_web3_js_mints_pays_and_confirms(running: Localnet, packages: Path) -> None:
    done = subprocess.run(
        ["node", "web3.mjs", running.addresses["rpcUrl"]], cwd=packages, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["5000000000", "750000", "250000", "confirmed"], done.stdout
