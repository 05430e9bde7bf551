"""What orders may spend of a wallet: reserved before they are routed, never more than there is, whoever races."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from uuid import UUID

import msgspec
import pytest

from accounts.models import Account
from orders.execution.funds import Funds
from orders.execution.work import NothingToSell, WalletNotInUse
from orders.ledger import statements
from orders.ledger.funds import SOL, Ask, Behind, Granted, NotInUse, Outcome, Short, reserve, unresolved
from orders.ledger.statements import Connection
from orders.ledger.values import Claimed
from orders.lifecycle import Event, Status
from orders.models import Reservation
from routing.balances import Holding
from routing.mock.tokens import REGISTRY
from routing.values import Fate, Fill, Swap, SwapStatus, Token
from routing.venue import InsufficientFunds
from tests.factories import FILL, accepted, change, connect, executor, new_order, submitted, swap
from wallets.models import Wallet

USDC = REGISTRY.resolve("USDC")
assert USDC is not None
MINT = USDC.mint
SOL_TOKEN = REGISTRY.resolve("SOL")
ADDRESS = "W" * 44
KEPT = 10
"""Lamports that stay in every wallet of these tests."""


@pytest.fixture
def wallet(database: Connection, account: int) -> Wallet:
    owner = Account.objects.get(pk=account)
    return Wallet.objects.create(account=owner, name="main", address=ADDRESS, cluster="c", mode="devnet", source="file")


def orders_of(database: Connection, account: int, count: int, **fields: object) -> list[Claimed]:
    by = executor(database)
    wanted = {"wallet": ADDRESS, "token_in": "USDC", "token_out": "SOL"} | fields
    new = [accepted(database, new_order(account, **wanted)) for _ in range(count)]
    return statements.claim(database, by, [order.id for order in new], {})


def ask(order: Claimed, units: int | None, *, held: int = 100, slot: int = 7, **fields: object) -> Ask:
    """Of USDC, with lamports in plenty."""
    values = {
        "order_id": order.id,
        "epoch": order.epoch,
        "account_id": order.account_id,
        "wallet": ADDRESS,
        "mint": MINT,
        "units": units,
        "percent": None,
        "lamports": 1,
        "holding": Holding(slot, 10**9, {MINT: held}),
    }
    return Ask(**(values | fields))


def asked(connection: Connection, *asks: Ask) -> list[Outcome]:
    return reserve(connection, asks, sol_reserve=KEPT)


def test_racing_orders_of_several_workers_never_get_more_than_there_is(
    database: Connection, account: int, wallet: Wallet
) -> None:
    """Three hundred orders of 1 each, of which 100 can be paid, over eight sessions that start together."""
    orders = orders_of(database, account, 300)
    parts = [orders[n::8] for n in range(8)]
    start = threading.Barrier(len(parts))

    def worker(part: Sequence[Claimed]) -> list[Outcome]:
        with connect() as own:
            start.wait()
            return [outcome for order in part for outcome in asked(own, ask(order, 1))]

    with ThreadPoolExecutor(len(parts)) as pool:
        outcomes = [outcome for found in pool.map(worker, parts) for outcome in found]
    assert sum(isinstance(outcome, Granted) for outcome in outcomes) == 100
    assert all(outcome == Short(MINT, 0, 1, False) for outcome in outcomes if not isinstance(outcome, Granted))
    assert Reservation.objects.count() == 100


def test_a_batch_is_decided_one_after_the_other(database: Connection, account: int, wallet: Wallet) -> None:
    big, small, more = orders_of(database, account, 3)
    assert asked(database, ask(big, 150), ask(small, 60), ask(more, 60)) == [
        Short(MINT, 100, 150, False),
        Granted(60),
        Short(MINT, 40, 60, False),
    ]


def test_asking_again_replaces_what_the_order_had(database: Connection, account: int, wallet: Wallet) -> None:
    [order] = orders_of(database, account, 1)
    assert asked(database, ask(order, 70)) == asked(database, ask(order, 70)) == [Granted(70)]
    assert asked(database, ask(order, 100)) == [Granted(100)]
    assert [int(row.units) for row in Reservation.objects.all()] == [100]


@pytest.mark.parametrize(("share", "held", "units"), [(100, 99, 99), (50, 99, 49), (1, 199, 1), (33, 10, 3)])
def test_a_share_is_rounded_down(
    database: Connection, account: int, wallet: Wallet, share: int, held: int, units: int
) -> None:
    [order] = orders_of(database, account, 1, amount=None, percent=share)
    assert asked(database, ask(order, None, percent=share, held=held)) == [Granted(units)]


def test_a_share_is_of_what_others_leave_and_nothing_is_no_sale(
    database: Connection, account: int, wallet: Wallet
) -> None:
    first, second, third = orders_of(database, account, 3)
    assert asked(database, ask(first, 60), ask(second, None, percent=100)) == [Granted(60), Granted(40)]
    assert asked(database, ask(third, None, percent=100)) == [Short(MINT, 0, 0, False)]
    assert asked(database, ask(third, None, percent=1, held=0)) == [Short(MINT, 0, 0, False)]


def test_sol_keeps_the_reserve_and_the_fees_of_all(database: Connection, account: int, wallet: Wallet) -> None:
    first, second, third = orders_of(database, account, 3)

    def of_sol(order: Claimed, units: int | None, percent: int | None = None) -> Ask:
        holding = Holding(7, 1_000, {SOL: 500})
        return ask(order, units, percent=percent, mint=SOL, lamports=20, holding=holding)

    assert asked(database, of_sol(first, 600)) == [Granted(600)]  # 500 wrapped, 100 of the lamports
    [short] = asked(database, of_sol(second, 900))
    assert short == Short(SOL, 1_500 - KEPT - 600 - 20 - 20, 900, False)
    assert asked(database, of_sol(second, None, 100)) == [Granted(1_500 - KEPT - 600 - 20 - 20)]
    # Nothing is left for the fees of an order that sells something else.
    poor = Holding(7, 1_000, {SOL: 500, MINT: 100})
    assert asked(database, ask(third, 1, lamports=1, holding=poor)) == [Short(SOL, 0, 1, False)]


def confirmed(database: Connection, order: Claimed, slot: int) -> None:
    intent = submitted(database, order)
    data = FILL | {"attempt": 1, "landedAt": "2026-11-26T00:00:00Z", "slot": slot}
    made = change(
        order, Event.CONFIRM, was=Status.SUBMITTED, seq=order.seq + 2, data=data, resolved=(intent.signature, "landed")
    )
    assert all(statements.record(database, [made]))


def test_spending_counts_until_the_balance_has_it(database: Connection, account: int, wallet: Wallet) -> None:
    first, second, third = orders_of(database, account, 3)
    assert asked(database, ask(first, 60)) == [Granted(60)]
    confirmed(database, first, slot=9)
    assert asked(database, ask(second, 60, slot=8)) == [Short(MINT, 40, 60, False)]
    assert asked(database, ask(second, 40, held=40, slot=9)) == [Granted(40)]
    assert not Reservation.objects.filter(order_id=first.id).exists()
    # What is cleared away is in balances of slot 9, so older ones are not used any more.
    assert asked(database, ask(third, 1, slot=8)) == [Behind(9)]


def test_an_order_that_waits_again_reserves_nothing(database: Connection, account: int, wallet: Wallet) -> None:
    first, second = orders_of(database, account, 2)
    assert asked(database, ask(first, 60)) == [Granted(60)]
    error = {"attempt": 1, "code": "VENUE_UNAVAILABLE", "message": "", "permanent": False}
    retry = change(first, Event.RETRY, data={"attempt": 1, "error": error, "retryInMs": 10}, delay_ms=10)
    assert all(statements.record(database, [retry]))
    assert asked(database, ask(second, 100)) == [Granted(100)]


def test_a_wallet_that_is_retired_or_anothers_is_refused(database: Connection, account: int, wallet: Wallet) -> None:
    [order] = orders_of(database, account, 1)
    assert asked(database, ask(order, 1, account_id=account + 1)) == [NotInUse()]
    assert asked(database, ask(order, 1, wallet="X" * 44)) == [NotInUse()]
    Wallet.objects.update(state="retired")
    assert asked(database, ask(order, 1)) == [NotInUse()]


def test_who_lost_the_order_reserves_nothing(database: Connection, account: int, wallet: Wallet) -> None:
    [order] = orders_of(database, account, 1)
    assert asked(database, ask(order, 1, epoch=order.epoch - 1)) == [Granted(1)]
    assert not Reservation.objects.exists()


class Chain:
    """What a chain answers in these tests: a balance that a landing has changed, and what became of each transaction."""

    def __init__(self, held: int, *, slot: int = 7) -> None:
        self.held, self.slot = held, slot
        self.landed: dict[str, int] = {}
        self.looks = 0

    async def spendable(self, wallet: str, token: Token, *, at_least: int = 0) -> Holding:
        self.looks += 1
        return Holding(max(self.slot, at_least), 10**9, {token.mint: self.held})

    async def status(self, swaps: Sequence[Swap]) -> list[SwapStatus]:
        return [self.of(swap) for swap in swaps]

    def of(self, swap: Swap) -> SwapStatus:
        slot = self.landed.get(swap.signature)
        if slot is None:
            return SwapStatus(swap.signature, Fate.PENDING)
        fill = Fill(swap.signature, Decimal(1), Decimal(1), Decimal(0), swap.valid_until, slot=slot)
        return SwapStatus(swap.signature, Fate.LANDED, fill)


def funds_over(database: Connection, chain: Chain) -> Funds:
    async def write(one: Ask) -> Outcome:
        return asked(database, one)[0]

    async def open_of(address: str) -> Sequence[tuple[UUID, Swap]]:
        return unresolved(database, address)

    return Funds(chain, reserve=write, unresolved=open_of, status=chain.status, max_fee_lamports=5)


@pytest.fixture
def two(database: Connection, account: int, wallet: Wallet) -> tuple[Claimed, Claimed, Swap]:
    """An order of 60 µUSDC whose transaction is under way, and one of 40 that comes."""
    first, second = orders_of(database, account, 2, amount=Decimal("0.00004"))
    assert asked(database, ask(first, 60)) == [Granted(60)]
    return first, second, submitted(database, first, swap(first.id, wallet=ADDRESS))


async def test_what_has_landed_and_is_not_recorded_yet_is_not_counted_twice(
    database: Connection, two: tuple[Claimed, Claimed, Swap]
) -> None:
    _, second, intent = two
    chain = Chain(held=40)
    chain.landed[intent.signature] = 12
    assert await funds_over(database, chain).reserve(second, USDC, second.amount) == Decimal("0.00004")


async def test_too_little_is_said_with_what_there_is_and_what_is_needed(
    database: Connection, two: tuple[Claimed, Claimed, Swap]
) -> None:
    _, second, _ = two
    with pytest.raises(InsufficientFunds) as refused:
        await funds_over(database, Chain(held=99)).reserve(second, USDC, second.amount)
    assert refused.value.permanent and refused.value.code == "INSUFFICIENT_FUNDS"
    assert refused.value.details == {"have": "0.000039", "need": "0.00004", "token": MINT}


async def test_a_share_waits_for_the_word_of_the_chain(
    database: Connection, two: tuple[Claimed, Claimed, Swap]
) -> None:
    _, second, intent = two
    share = msgspec.structs.replace(second, amount=None, percent=100)
    chain = Chain(held=40)
    chain.landed[intent.signature] = 12
    assert await funds_over(database, chain).reserve(share, USDC, share.amount) == Decimal("0.00004")
    chain.held = 0
    with pytest.raises(NothingToSell):
        await funds_over(database, chain).reserve(share, USDC, share.amount)


async def test_a_newer_look_is_taken_where_others_had_one(database: Connection, account: int, wallet: Wallet) -> None:
    [order] = orders_of(database, account, 1, amount=Decimal("0.00004"))
    database.execute("UPDATE wallets_wallet SET balance_slot = 50")
    chain = Chain(held=100)
    assert await funds_over(database, chain).reserve(order, USDC, order.amount) == Decimal("0.00004")
    assert chain.looks == 2
    database.execute("UPDATE wallets_wallet SET state = 'retired'")
    with pytest.raises(WalletNotInUse):
        await funds_over(database, chain).reserve(order, USDC, order.amount)
