"""Orders whose amount is divided between two venues' pools: through the ledger, onto a localnet, and on paper."""

import asyncio
import csv
import io
import json
import random
import struct
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, cast

import pytest
from django.conf import settings as ours

from books.export import csv_of
from books.fills import FillOut, Wanted, fill_out, page
from orders.execution.executor import Executor
from orders.execution.retry import RetryPolicy
from orders.execution.signing import PaperSigning
from orders.execution.steps import Steps
from orders.execution.work import Work
from orders.ledger.statements import Connection
from orders.ledger.values import Claimed, NewOrder
from orders.ledger.writers import Claimer, Recorder
from orders.lifecycle import Event, Status
from orders.models import Order
from orders.recovery.retention import purge
from orders.representation import order_out
from routing.mock.tokens import SOL, USDC
from routing.paper import PaperStore
from routing.price_hashes import PairPrices
from routing.router import Router
from routing.signer import Signer
from routing.solana.paper import LANDS_AFTER_S
from routing.solana.pools import AMOUNT_AT
from routing.solana.venues.direct import DirectVenue
from routing.values import Fate, Pair, Token
from routing.venues import METEORA, RAYDIUM, SPLIT
from tests.factories import accepted, claimed, executor, limit_order, new_order
from tests.integration.test_exact_out import said
from tests.integration.test_resume import statuses
from tests.localnet.node import Localnet, running
from tests.solana.stage import Key, Stage, pair

AMOUNT = Decimal(50)
"""In pools of 2,000 SOL: alone it moves one by some percent."""
ALONE = {RAYDIUM, METEORA}


@pytest.fixture(scope="module")
def node() -> Iterator[Localnet]:
    with running(hold="", slot_ms=100) as made:
        yield made


@pytest.fixture
async def stage(node: Localnet) -> AsyncIterator[Stage]:
    made = Stage(node, splits=True, max_age_ms=60_000)
    made.price(Decimal(150), depth="300000")
    yield made
    await made.world.close()


class Purse:
    """One key, and half of 100 SOL as any share of them."""

    def __init__(self, key: Key) -> None:
        self.key = key

    async def signer_of(self, address: str) -> Signer:
        assert address == self.key.address
        return self.key

    async def reserve(self, order: Claimed, token: Token, amount: Decimal | None) -> Decimal:
        return AMOUNT if amount is None else amount


def steps(router: Router, key: Key) -> Steps:
    return Steps(
        router,
        RetryPolicy(3, 0, 0),
        random.Random(1),
        submit_timeout_s=5,
        resend_after_s=20,
        wallets=Purse(key),
        look_by_default=False,
    )


class Owner:
    """An executor in this process that trades on the stage."""

    def __init__(self, database: Connection, url: str, stage: Stage) -> None:
        by = executor(database)
        self.claimer = Claimer(url, by, window_ms=1, max_batch=9, capacity=9, written=lambda _: None)
        self.recorder = Recorder(url, window_ms=1, max_batch=9, capacity=18, written=lambda _: None)
        self.steps = steps(stage.world.router, stage.signer)
        self.executor = Executor(self.claimer, self.recorder, self.steps, max_in_flight=9, max_preparing=9)

    async def execute(self, order: NewOrder, trigger: dict[str, Any] | None = None) -> Order:
        async with asyncio.timeout(60):
            await self.executor.execute([order.id], trigger)
        return await asyncio.to_thread(Order.objects.get, pk=order.id)


@pytest.fixture
async def owner(database: Connection, database_url: str, stage: Stage) -> AsyncIterator[Owner]:
    made = Owner(database, database_url, stage)
    yield made
    await made.claimer.close()
    await made.recorder.close()


def selling(account: int, stage: Stage, **fields: Any) -> NewOrder:
    return new_order(account, **{"amount": AMOUNT, "wallet": stage.signer.address, **fields})


@pytest.fixture
def too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a chain whose transactions have room for one swap and not for two."""
    monkeypatch.setattr("routing.solana.safety.MAX_BYTES", 900)


@pytest.mark.parametrize("share", [{}, {"amount": None, "percent": 50}])
async def test_events_and_books_say_what_went_where(
    database: Connection, account: int, stage: Stage, owner: Owner, share: dict[str, Any]
) -> None:
    order = await owner.execute(accepted(database, selling(account, stage, **share)))
    assert (order.status, order.venue) == ("confirmed", SPLIT), said(database, order)
    assert statuses(database, order.id) == ["pending", "routing", "building", "submitted", "confirmed"]
    building, submitted, done = said(database, order)[2:]
    offers = {quote["venue"]: quote for quote in building["quotes"]}
    assert building["venue"] == SPLIT and offers.keys() == {*ALONE, SPLIT}
    won = offers[SPLIT]
    assert Decimal(won["amountOut"]) - Decimal(won["addedFee"]) > max(Decimal(offers[n]["amountOut"]) for n in ALONE)
    assert f"SOL at {RAYDIUM}" in building["reason"] and "USDC more in fees" in building["reason"]
    for parts, out in ((won["parts"], won["amountOut"]), (done["parts"], done["amountOut"])):
        assert {part["venue"] for part in parts} == ALONE and len({part["pool"] for part in parts}) == 2
        assert sum(Decimal(part["amountIn"]) for part in parts) == AMOUNT
        assert sum(Decimal(part["amountOut"]) for part in parts) == Decimal(out)
    assert sum(Decimal(part["amountOut"]) for part in submitted["parts"]) == Decimal(submitted["minOut"])
    assert "refusals" not in submitted and order_out(order).venue == SPLIT
    wanted = Wanted(account_id=account, mode="mock", venue=SPLIT)
    [fill] = await asyncio.to_thread(page, wanted, limit=9, newest=True, cursor=None)
    assert (fill.amount_in, fill.amount_out, fill.venue) == (AMOUNT, order.amount_out, SPLIT)
    row = fill_out(fill)
    assert row.parts is not None
    assert [(part.venue, part.pool, part.amount_in, part.amount_out) for part in row.parts] == [
        (part["venue"], part["pool"], part["amountIn"], part["amountOut"]) for part in done["parts"]
    ]
    venue_fees = [fee for fee in row.fees if fee.kind == "venue"]
    assert {fee.token for fee in venue_fees} == {SOL.mint, USDC.mint}
    [cells] = csv.DictReader(io.StringIO(b"".join(csv_of(FillOut, [[row]])).decode()))
    assert json.loads(cells["parts"]) == done["parts"]
    assert [cells["venueFee"], cells["venueFeeToken"]] == [
        " ".join(fee.amount for fee in venue_fees),
        " ".join(fee.token for fee in venue_fees),
    ]
    assert len(stage.landed(f"{order.pk}/1")) == 1
    assert purge(database, days=1, now=datetime.now(UTC) + timedelta(days=2)) == 1
    [kept] = await asyncio.to_thread(page, wanted, limit=9, newest=True, cursor=None)
    assert fill_out(kept).parts == row.parts, "also of an order that is purged"


async def test_what_does_not_fit_is_refused_in_words_and_the_best_venue_alone_is_taken(
    database: Connection, account: int, stage: Stage, owner: Owner, too_large: None
) -> None:
    order = await owner.execute(accepted(database, selling(account, stage)))
    assert order.status == "confirmed" and order.venue in ALONE, said(database, order)
    building, submitted, done = said(database, order)[2:]
    assert (building["venue"], submitted["venue"], done["venue"]) == (SPLIT, order.venue, order.venue)
    [refusal] = submitted["refusals"]
    assert (refusal["venue"], refusal["code"]) == (SPLIT, "SPLIT_REFUSED")
    assert "bytes do not fit a transaction" in refusal["message"]
    alone = max(Decimal(quote["amountOut"]) for quote in building["quotes"] if quote["venue"] in ALONE)
    assert order.amount_out == alone and "parts" not in done
    assert Decimal(submitted["minOut"]) == (alone * Decimal("0.995")).quantize(Decimal("0.000001"), "ROUND_UP")
    assert len(stage.signer.signed) == 1 and len(stage.landed(f"{order.pk}/1")) == 1


async def test_the_venue_alone_is_held_to_what_the_order_asks(
    database: Connection, account: int, stage: Stage, owner: Owner, too_large: None
) -> None:
    """What both pools together offer may be within a bound that one pool's offer is not."""
    selection = await stage.world.router.quote(pair(), AMOUNT)
    split, alone = selection.winner, [quote for quote in selection.quotes if not quote.parts]
    bps = int((split.impact_bps + min(quote.impact_bps for quote in alone)) / 2)
    order = await owner.execute(accepted(database, selling(account, stage, max_price_impact_bps=bps)))
    assert (order.status, order.failure_code) == ("failed", "PRICE_IMPACT_TOO_HIGH")
    between = ((split.net_price + max(quote.net_price for quote in alone)) / 2).quantize(Decimal("0.000001"))
    wallet = {"amount": AMOUNT, "wallet": stage.signer.address}
    limited = accepted(database, limit_order(account, limit_price=between, **wallet))
    rests = await owner.execute(limited, {"price": "150"})
    assert rests.resting and said(database, rests)[-1]["reason"] == "MARKET_MOVED_BACK"
    assert stage.signer.signed == []


async def test_a_split_that_would_fail_is_no_reason_to_trade_nowhere(
    database: Connection, account: int, stage: Stage, owner: Owner
) -> None:
    """A pool that pays less than it seems to, and so would revert both swaps, is not the best one by itself."""
    stage.price(Decimal(150), depth="300000")
    stage.node.control("pool", venue=METEORA, base="SOL", quote="USDC", price="150", depth="60000")
    stage.world.accounts.forget()
    meteora = cast(DirectVenue, stage.venue(METEORA))
    pool, _ = await meteora.pool(pair())
    vault = (await stage.world.accounts.get([pool.bought.vault]))[pool.bought.vault]
    assert vault is not None
    seems = struct.pack("<Q", pool.curve.bought * 104 // 100)
    data = vault.data[:AMOUNT_AT] + seems + vault.data[AMOUNT_AT + 8 :]
    stage.world.accounts.put({pool.bought.vault: replace(vault, data=data)}, stage.node.rpc("getSlot") + 140)
    order = await owner.execute(accepted(database, selling(account, stage)))
    building, submitted = said(database, order)[2:4]
    assert building["venue"] == SPLIT
    assert (order.status, order.venue) == ("confirmed", RAYDIUM), said(database, order)
    [refusal] = submitted["refusals"]
    assert refusal["code"] == "SPLIT_REFUSED" and "it would fail now" in refusal["message"]
    assert len(stage.signer.signed) == 1 and len(stage.landed(f"{order.pk}/1")) == 1


async def test_no_cached_price_ends_an_order_in_the_place_of_a_split(
    database: Connection, database_url: str, account: int, stage: Stage, too_large: None
) -> None:
    """An error that ends an order for good is a venue's own answer: the pools have become deeper than the prices in Redis say."""
    ticks = {name: await stage.venue(name).tick(pair()) for name in (RAYDIUM, METEORA)}
    by_ticks = await stage.world.router.compare(pair(), AMOUNT, ticks)
    split, alone = by_ticks.winner, [quote for quote in by_ticks.quotes if not quote.parts]
    bps = int((split.impact_bps + min(quote.impact_bps for quote in alone)) / 2)
    assert split.parts and split.cached

    async def cached(of: Pair) -> PairPrices:
        return PairPrices(of.name, ticks, None, datetime.now(UTC))

    await stage.world.close()
    stage.world = stage.open(splits=True, max_age_ms=60_000, cached=cached)
    stage.price(Decimal(150), depth="15000000")
    owner = Owner(database, database_url, stage)
    try:
        order = await owner.execute(accepted(database, selling(account, stage, max_price_impact_bps=bps)))
    finally:
        await owner.claimer.close()
        await owner.recorder.close()
    assert (order.status, order.venue in ALONE) == ("confirmed", True), said(database, order)
    building, submitted = said(database, order)[2:4]
    assert all(quote["cached"] for quote in building["quotes"]) and building["venue"] == SPLIT
    assert Decimal(submitted["minOut"]) > alone[0].amount_out, "by the pools as they are"


async def test_a_limit_that_only_both_pools_can_give_is_kept(
    database: Connection, account: int, stage: Stage, owner: Owner
) -> None:
    selection = await stage.world.router.quote(pair(), AMOUNT)
    alone = max(quote.net_price for quote in selection.quotes if not quote.parts)
    between = ((selection.winner.net_price + alone) / 2).quantize(Decimal("0.000001"))
    order = limit_order(account, limit_price=between, amount=AMOUNT, wallet=stage.signer.address, slippage_bps=500)
    done = await owner.execute(accepted(database, order), {"price": "150"})
    assert (done.status, done.venue) == ("confirmed", SPLIT), said(database, done)
    assert done.amount_out is not None and done.amount_out >= AMOUNT * between
    least = Decimal(said(database, done)[-2]["minOut"])
    assert least == (AMOUNT * between).quantize(Decimal("0.000001"), "ROUND_UP"), "the limit, not the slippage below it"


async def test_a_sniper_buys_in_one_pool(database: Connection, account: int, stage: Stage, owner: Owner) -> None:
    order = selling(account, stage, type="sniper", trigger_kind="token_launch", resting=True)
    done = await owner.execute(accepted(database, order), {"price": "150"})
    assert done.status == "confirmed" and done.venue in ALONE, said(database, done)
    assert not any(quote["venue"] == SPLIT for quote in said(database, done)[2]["quotes"])


async def test_what_was_sent_is_settled_by_whoever_takes_over_with_splitting_off(
    database: Connection, account: int, stage: Stage
) -> None:
    work = Work.begin(claimed(database, accepted(database, selling(account, stage))))
    sender = steps(stage.world.router, stage.signer)
    for status, event in ((Status.BUILDING, Event.BUILD), (Status.SUBMITTED, Event.SUBMIT)):
        move = await sender.next(work)
        assert move is not None and move.event is event
        work.status = status
    assert work.swap is not None and work.swap.venue == SPLIT and len(work.swap.payload) <= 1_232
    await stage.world.chain.submit(work.swap)
    world = stage.open()
    try:
        settled = await steps(world.router, stage.signer).next(work)
        assert settled is not None and settled.event is Event.CONFIRM
        assert len(stage.landed(f"{work.order.id}/1")) == 1
    finally:
        await world.close()


async def test_on_paper_it_lands_at_what_both_pools_offer(database: Connection, stage: Stage) -> None:
    store = PaperStore(lambda: ours.DATABASE_URL)
    store.give(stage.signer.address, SOL.mint, 100 * 10**9)
    world = stage.open(paper=store, splits=True)
    try:
        offer = (await world.router.quote(pair(), AMOUNT)).winner
        assert offer.venue == SPLIT
        swap = await world.router.seller(SPLIT).build(
            pair(),
            offer,
            min_out=offer.amount_out,
            slippage_bps=0,
            reference=f"paper-split-{stage.signer.address[:8]}",
            attempt=1,
            signer=await PaperSigning().of(stage.signer.address),
        )
        await world.chain.submit(swap)
        await asyncio.sleep(LANDS_AFTER_S)
        status = await world.chain.wait(swap, timeout_s=20)
        assert status.fate is Fate.LANDED and status.fill is not None
        assert (status.fill.amount_out, {part.venue for part in status.fill.parts}) == (offer.amount_out, ALONE)
        assert store.holdings([stage.signer.address])[stage.signer.address][USDC.mint] == offer.amount_out.scaleb(6)
    finally:
        await world.close()
        store.close()
