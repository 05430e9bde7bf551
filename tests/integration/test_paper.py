"""Trading on paper: live quotes of a localnet, landings in Postgres. Nothing is signed, sent, or shared with the live mode."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from django.conf import settings as ours
from django.core.management import call_command
from django.core.management.base import CommandError
from solders.keypair import Keypair

from accounts.models import Account
from orders.execution.signing import PaperSigning
from orders.ledger import statements
from orders.ledger.statements import Connection
from routing.cluster import cluster, mode, wallets_cluster
from routing.gates import ENGINES, Purchase, Verdict, overall
from routing.mock.tokens import REGISTRY, SOL, USDC
from routing.paper import Outcome, PaperStore
from routing.price_hashes import of_mode
from routing.signer import SigningFailed
from routing.solana.paper import LANDS_AFTER_S, PREFIX, PaperTransaction
from routing.solana.world import SolanaWorld, solana_world
from routing.values import Fate, Pair, Quote, Swap, SwapStatus, Token
from routing.venue import QuoteDeviates, UnsafeTransaction, VenueError, VenueRateLimited, VenueTimeout, VenueUnavailable
from routing.venues import RAYDIUM
from tests.factories import accepted, executor, new_order
from tests.localnet.node import Localnet, running
from wallets.keys.local import KeyRefused
from wallets.keys.signers import Signers
from wallets.models import Source, Wallet

SOL_USDC = REGISTRY.pair_named("SOL-USDC")
assert SOL_USDC is not None
PAIR: Pair = SOL_USDC


@pytest.fixture(scope="module")
def node() -> Iterator[Localnet]:
    with running(hold="") as made:
        yield made


class Paper:
    """A wallet with 100 SOL and 1,000 USDC on paper, and a world that trades so."""

    def __init__(self, node: Localnet) -> None:
        self.node = node
        self.store = PaperStore(lambda: ours.DATABASE_URL)
        self.address = str(Keypair().pubkey())
        self.tag = self.address[:8]
        self.store.give(self.address, SOL.mint, 100 * 10**9)
        self.store.give(self.address, USDC.mint, 1_000 * 10**6)
        for venue in ("RAYDIUM", "METEORA"):
            node.control("pool", venue=venue, base="SOL", quote="USDC", price="150", depth="15000000")
        node.tick()
        self.world = self.open()

    def open(self) -> SolanaWorld:
        return solana_world(
            [self.node.addresses["rpcUrl"]],
            genesis_hash=self.node.addresses["genesisHash"],
            tokens=lambda: REGISTRY,
            deadline_ms=2_000,
            max_age_ms=1_500,
            paper=PaperStore(lambda: ours.DATABASE_URL),
        )

    async def build(self, reference: str, *, amount: str = "1", least: str = "0.99", attempt: int = 1) -> Swap:
        quote: Quote = await self.world.router.venue(RAYDIUM).quote(PAIR, Decimal(amount))
        min_out = (quote.amount_out * Decimal(least)).quantize(Decimal("0.000001"))
        signer = await PaperSigning().of(self.address)
        return await self.world.router.venue(RAYDIUM).build(
            PAIR,
            quote,
            min_out=min_out,
            slippage_bps=50,
            reference=self.tag + reference,
            attempt=attempt,
            signer=signer,
        )

    async def settled(self, swap: Swap) -> SwapStatus:
        await self.world.chain.submit(swap)
        await asyncio.sleep(LANDS_AFTER_S)
        return await self.world.chain.wait(swap, timeout_s=20)

    def held(self) -> dict[str, int]:
        return dict(self.store.holdings([self.address])[self.address])


@pytest.fixture
async def paper(database: Connection, node: Localnet) -> AsyncIterator[Paper]:
    made = Paper(node)
    yield made
    made.store.close()
    await made.world.close()


async def test_it_lands_at_the_live_offer_and_nothing_reaches_the_chain(paper: Paper) -> None:
    sent = paper.node.control("state")["submissions"]
    swap = await paper.build("order-1")
    made = msgspec.json.decode(swap.payload, type=PaperTransaction)
    assert swap.signature.startswith(PREFIX) and f"{paper.tag}order-1/1".encode() in made.message
    status = await paper.settled(swap)

    assert status.fate is Fate.LANDED and status.fill is not None
    fill = status.fill
    assert fill.amount_in == 1 and Decimal(149) < fill.amount_out < Decimal(150) and fill.amount_out >= swap.min_out
    kinds = {fee.kind: fee.amount for fee in fill.fees}
    assert kinds["network"] == Decimal("0.000005") and kinds["venue"] == fill.fee > 0
    lamports = int((kinds["network"] + kinds.get("priority", Decimal(0))).scaleb(9))
    assert paper.held() == {
        SOL.mint: 99 * 10**9 - lamports,
        USDC.mint: 1_000 * 10**6 + int(fill.amount_out.scaleb(6)),
    }
    paper.node.tick(3)
    assert paper.node.control("state")["submissions"] == sent
    assert paper.node.rpc("getSignaturesForAddress", paper.address) == []
    [balances] = await paper.world.balances.all([paper.address])
    assert balances.lamports == paper.held()[SOL.mint]


async def test_a_price_that_moved_reverts_and_pays_its_fee_only(paper: Paper) -> None:
    swap = await paper.build("order-1", least="0.9999")
    paper.node.control("pool", venue="RAYDIUM", base="SOL", quote="USDC", price="140", depth="15000000")
    paper.node.tick()
    status = await paper.settled(swap)
    assert (status.fate, status.error) == (Fate.REVERTED, "SLIPPAGE_EXCEEDED")
    held = paper.held()
    assert held[USDC.mint] == 1_000 * 10**6 and 99_990_000_000 < held[SOL.mint] < 100 * 10**9


@pytest.mark.parametrize("refusal", [VenueUnavailable, VenueTimeout, VenueRateLimited])
async def test_nothing_is_decided_while_the_venue_is_not_heard(
    paper: Paper, monkeypatch: pytest.MonkeyPatch, refusal: type[VenueError]
) -> None:
    swap, chain = await paper.build("order-1"), paper.world.chain

    async def silent(*_: Any) -> Quote:
        raise refusal(venue=RAYDIUM)

    with monkeypatch.context() as patch:
        patch.setattr(chain, "_offer", silent)
        await chain.submit(swap)
        await asyncio.sleep(LANDS_AFTER_S)
        assert [status.fate for status in await chain.status([swap])] == [Fate.PENDING]
    assert (await chain.wait(swap, timeout_s=20)).fate is Fate.LANDED


@pytest.mark.parametrize(("price", "fate"), [("150", Fate.LANDED), ("140", Fate.REVERTED)])
async def test_an_exact_output_takes_what_it_costs_then_and_no_more_than_the_most(
    paper: Paper, price: str, fate: Fate
) -> None:
    venue, wanted = paper.world.router.venue(RAYDIUM), Decimal(150)
    quote = await venue.quote(PAIR, wanted, exact_out=True)
    swap = await venue.build(
        PAIR,
        quote,
        min_out=wanted,
        max_in=(quote.amount_in * Decimal("1.01")).quantize(Decimal("0.000000001")),
        slippage_bps=100,
        reference=paper.tag,
        attempt=1,
        signer=await PaperSigning().of(paper.address),
    )
    paper.node.control("pool", venue="RAYDIUM", base="SOL", quote="USDC", price=price, depth="15000000")
    paper.node.tick()
    status = await paper.settled(swap)
    assert (status.fate, status.error) == (fate, None if fate is Fate.LANDED else "SLIPPAGE_EXCEEDED")
    if status.fill is not None:
        assert status.fill.amount_out == wanted and status.fill.amount_in == quote.amount_in
        assert paper.held()[USDC.mint] == 1_150 * 10**6


async def test_an_offer_below_the_least_is_not_built(paper: Paper) -> None:
    with pytest.raises(QuoteDeviates):
        await paper.build("order-1", least="1.01")


async def test_what_the_wallet_has_not_reverts(paper: Paper) -> None:
    swaps = [await paper.build(f"order-{n}", amount="60") for n in (1, 2)]
    statuses = await asyncio.gather(*(paper.settled(swap) for swap in swaps))
    assert sorted(each.fate for each in statuses) == [Fate.LANDED, Fate.REVERTED]
    assert [each.error for each in statuses if each.error] == ["INSUFFICIENT_FUNDS"]
    assert 39 * 10**9 < paper.held()[SOL.mint] < 40 * 10**9


async def test_all_processes_see_one_fate_and_it_lands_once(paper: Paper) -> None:
    """Sent by two, and asked for by two at the same time: as after a takeover."""
    swap, other = await paper.build("order-1"), paper.open()
    try:
        for world in (paper.world, other, other):
            await world.chain.submit(swap)
        await asyncio.sleep(LANDS_AFTER_S)
        found = await asyncio.gather(*(world.chain.status([swap]) for world in (paper.world, other) * 3))
        assert {each.fate for [each] in found} == {Fate.LANDED}
        assert len({each.fill for [each] in found}) == 1
    finally:
        await other.close()
    assert 98 * 10**9 < paper.held()[SOL.mint] < 99 * 10**9


async def test_of_an_order_one_transaction_lands(paper: Paper) -> None:
    first, second = [await paper.build("order-1", attempt=attempt) for attempt in (1, 2)]
    assert (await paper.settled(first)).fate is Fate.LANDED
    before = paper.held()
    with pytest.raises(VenueUnavailable, match="paper_landed_once"):
        await paper.settled(second)
    assert paper.held() == before


async def test_expired_is_a_promise(paper: Paper) -> None:
    swap, sent = await paper.build("order-1"), await paper.build("order-2")
    paper.store.send(sent.signature, sent.reference)
    for each in (swap, sent):
        assert (await paper.world.chain.status([each]))[0].fate is Fate.PENDING
    paper.node.tick(160)
    assert [each.fate for each in await paper.world.chain.status([swap, sent])] == [Fate.EXPIRED] * 2
    await paper.world.chain.submit(swap)
    await asyncio.sleep(LANDS_AFTER_S)
    assert (await paper.world.chain.status([swap]))[0].fate is Fate.EXPIRED
    assert not paper.store.settle(swap.signature, Fate.LANDED, Outcome())
    assert paper.held() == {SOL.mint: 100 * 10**9, USDC.mint: 1_000 * 10**6}


async def test_what_is_unsafe_is_refused_as_on_the_live_cluster(paper: Paper) -> None:
    with pytest.raises(UnsafeTransaction):
        quote = await paper.world.router.venue(RAYDIUM).quote(PAIR, Decimal(1))
        await paper.world.router.venue(RAYDIUM).build(
            PAIR,
            quote,
            min_out=Decimal(1),
            slippage_bps=50,
            reference="order-1",
            attempt=1,
            signer=await PaperSigning().of(paper.address),
            max_fee_lamports=4_999,
        )


@pytest.mark.parametrize(("kind", "verdict"), [("good", Verdict.PASS), ("unsellable", Verdict.FAIL)])
async def test_gates_look_with_somebody_else_s_money(paper: Paper, kind: str, verdict: Verdict) -> None:
    mint, rich = str(Keypair().pubkey()), str(Keypair().pubkey())
    paper.node.control("token", mint=mint, symbol=f"P{mint[:6]}", decimals=6, kind=kind)
    paper.node.control("pool", venue="RAYDIUM", base=mint, quote="USDC", price="0.1", depth="100000")
    paper.node.control("give", owner=rich, token="SOL", amount="1")
    paper.node.control("give", owner=rich, token="USDC", amount="5000000")
    paper.node.tick()
    found = await paper.world.gates(
        Purchase(
            pair=Pair(USDC, Token("P", mint, 6)),
            amount=Decimal(10),
            expected=Decimal(99),
            wallet=paper.address,
            venue=RAYDIUM,
            gates=ENGINES,
        )
    )
    assert overall(found) is verdict, found


async def test_nothing_is_signed_whatever_wallet_is_named() -> None:
    signer = await PaperSigning().of(str(Keypair().pubkey()))
    with pytest.raises(SigningFailed):
        await signer.sign(b"anything")


@pytest.fixture
def on_paper(database: Connection, settings: Any, tmp_path: Path) -> Iterator[Any]:
    settings.EXECUTION_MODE, settings.PAPER, settings.WALLET_KEYS_DIR = "mainnet", True, tmp_path / "keys"
    cluster.cache_clear()
    yield settings
    cluster.cache_clear()


async def test_a_wallet_on_paper_has_no_key_and_signs_on_no_cluster(on_paper: Any, tmp_path: Path) -> None:
    await asyncio.to_thread(call_command, "wallets", "create", "on-paper", "--name", "p")
    wallet = await Wallet.objects.aget(name="p")
    assert (wallet.mode, wallet.source) == ("paper-mainnet", Source.PAPER) and not (tmp_path / "keys").exists()
    assert wallet.cluster == wallets_cluster() != cluster()
    for arguments in (("import", "on-paper", "x.json"), ("connect", "on-paper", wallet.address, "x.json")):
        with pytest.raises(CommandError, match="no keys"):
            await asyncio.to_thread(call_command, "wallets", *arguments)

    on_paper.PAPER = False
    with pytest.raises(KeyRefused, match="another cluster"):
        await Signers(tmp_path / "keys", wallets_cluster).of(wallet.address)


def test_a_live_wallet_is_none_on_paper(on_paper: Any, database: Connection) -> None:
    on_paper.PAPER = False
    call_command("wallets", "create", "on-paper", "--name", "live")
    live = Wallet.objects.get(name="live")
    account = Account.objects.get(name="on-paper").pk
    order = accepted(database, new_order(account, mode="paper-mainnet"))
    chosen = "SELECT wallet, mode FROM orders_order WHERE id = %s"
    assert database.execute(chosen, (order.id,)).fetchone() == (None, "paper-mainnet")
    order = accepted(database, new_order(account, mode="mainnet"))
    assert database.execute(chosen, (order.id,)).fetchone() == (live.address, "mainnet")


@pytest.mark.parametrize(
    ("own", "others"),
    [
        ("paper-mainnet", ("mainnet", "paper-localnet", "localnet", "mock")),
        ("mainnet", ("paper-mainnet", "devnet")),
        ("paper-localnet", ("localnet", "paper-devnet")),
    ],
)
def test_data_of_one_mode_are_not_executed_in_another(
    database: Connection, account: int, own: str, others: tuple[str, ...]
) -> None:
    order, by = accepted(database, new_order(account, mode=own)), executor(database)
    for other in others:
        assert statements.claim(database, by, [order.id], {}, other) == []
        assert not of_mode(other, {"mode": own})
    assert of_mode(own, {"mode": own})
    [taken] = statements.claim(database, by, [order.id], {}, own)
    assert taken.id == order.id


def test_the_mode_says_that_it_is_on_paper(settings: Any) -> None:
    settings.EXECUTION_MODE, settings.PAPER = "devnet", True
    assert mode() == "paper-devnet"
    settings.PAPER = False
    assert mode() == "devnet"


def test_balances_never_fall_below_nothing(database: Connection) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        database.execute("INSERT INTO routing_paperbalance VALUES ('w', 'm', -1)")
