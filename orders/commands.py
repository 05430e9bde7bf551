"""What people do to orders: cancel, amend, requeue. One order at a time; the ledger's fence decides every race."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

import msgspec
import psycopg
import psycopg_pool
from msgspec import UNSET, UnsetType

from orders.aftercommit import AfterCommit
from orders.effects import Effects
from orders.errors import ApiError, check_seq, invalid
from orders.events import AmendData, Amended, CancelData, Data, Requeued, RequeueData
from orders.ledger import statements
from orders.ledger.counting import Counted
from orders.ledger.values import Change, Position
from orders.lifecycle import FINAL, Event, Status
from orders.limits import TOKEN_IN, TOKEN_OUT, asked_in_token_in
from orders.mints import mint_of
from orders.models import Order, OrderType, Plan, PlanKind
from orders.order_in import AmendIn, checked_amount, checked_expiry, limit_of, token
from orders.plans import commands as plans
from orders.plans.commands import NewPlan
from orders.plans.market import check_exits
from orders.plans.values import Bracket, PlanStatus
from orders.prices import check_price, present
from orders.risk import Terms, check_risk_now, counts_orders, denied
from orders.trailing import check_distance
from orders.transitions import transition
from orders.wire import text
from routing.world import tokens
from runtime.postgres import CONNECT, POOL, set_up

TRIES = 10
"""Races with executors and triggers. A lost one means that the order has moved, which it does a few times at most."""
MAX_CONNECTIONS = 4
STATEMENT_TIMEOUT_MS = 1_500
BUSY_PAUSE_S = 0.01
Done = TypeVar("Done")


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks for a change."""

    name: str
    """As `accounts.auth.Caller` has it."""
    request_id: str | None = None
    seq: int | None = None
    """The seq of the order that the asker has seen: at any other one nothing is changed."""

    def check(self, order: Order) -> None:
        """Raises `ApiError`: SEQ_MISMATCH."""
        check_seq("order", order.seq, self.seq)

    def sign(self, data: Data) -> Data:
        """The data of an event, with who asked for it."""
        return msgspec.structs.replace(data, by=self.name, request_id=self.request_id or UNSET)

    @property
    def said(self) -> dict[str, str]:
        """The same for the event of a plan."""
        return {"by": self.name} | ({"requestId": self.request_id} if self.request_id else {})


class Overtaken(Exception):
    """Somebody else was faster with the same change; `order` is as it stands now."""

    def __init__(self, order: Order) -> None:
        super().__init__("Somebody else has done this already.")
        self.order = order


class Commands:
    """Changes orders for people, on connections of its own; one in each process that answers them.

    What follows a change is carried out before the call returns. A broker or a Redis that is away changes no answer.
    """

    def __init__(self, database_url: str, after_commit: AfterCommit) -> None:
        self._after_commit = after_commit
        self._pool: psycopg_pool.ConnectionPool[Any] = psycopg_pool.ConnectionPool(
            database_url,
            **POOL,
            max_size=MAX_CONNECTIONS,
            kwargs={**CONNECT, "autocommit": True, "application_name": "orderengine:changes"},
            configure=partial(set_up, statement_timeout_ms=STATEMENT_TIMEOUT_MS),
            open=True,
        )

    def close(self) -> None:
        self._pool.close()

    def cancel(self, order: Order, asker: Asker) -> Order:
        """The cancelled order; again: the same. Raises `ApiError`: TOO_LATE, ALREADY_FINAL, SEQ_MISMATCH, PART_OF_PLAN."""

        def decide(order: Order) -> Change | None:
            alone(order)
            if order.status == Status.CANCELLED:
                return None
            asker.check(order)
            if order.status in FINAL:
                raise ApiError("ALREADY_FINAL", f"The order is {order.status}.")
            if order.status != Status.PENDING:
                raise ApiError("TOO_LATE", f"The order is {order.status} and cannot be stopped any more.")
            return transition(position(order), Event.CANCEL, asker.sign(CancelData()))

        return self._apply(order, decide)

    def amend(self, order: Order, wanted: AmendIn, asker: Asker) -> Order:
        """The amended order.

        Raises `ApiError`: VALIDATION_FAILED, PRICE_NOT_SENSIBLE, NOT_RESTING, TOO_LATE, ALREADY_FINAL, SEQ_MISMATCH,
        PART_OF_PLAN, for another distance what `orders.trailing` raises, and for another price or amount `orders.risk`.
        """
        alone(order)
        amended = amendment(order, wanted)
        if amended.trail_bps is not UNSET:
            check_distance(order, amended.trail_bps)
        check_risk_now(order.account_id, as_amended(order, amended), may_trade=True)

        def decide(order: Order) -> Change | None:
            asker.check(order)
            if order.status in FINAL:
                raise ApiError("ALREADY_FINAL", f"The order is {order.status}.")
            if not order.resting:
                code = "NOT_RESTING" if order.type == OrderType.MARKET else "TOO_LATE"
                raise ApiError(code, "Only an order that waits for its trigger can be amended.")
            return transition(position(order), Event.AMEND, asker.sign(AmendData(amended=amended)))

        return self._apply(order, decide)

    def requeue(self, order: Order, asker: Asker, *, epoch: int | None = None) -> Order:
        """A failed order goes round again, with all its attempts. Raises `ApiError`: ALREADY_FINAL.

        Of another epoch than the one that is named, the order is left as it is. Raises `Overtaken` then.
        """

        def decide(order: Order) -> Change | None:
            if epoch is not None and order.epoch != epoch:
                raise Overtaken(order)
            if order.status != Status.FAILED:
                raise ApiError("ALREADY_FINAL", f"The order is {order.status}; only failed orders are requeued.")
            if order.plan_id is not None and not Plan.objects.filter(pk=order.plan_id, finished_at=None).exists():
                raise ApiError("ALREADY_FINAL", "The order's plan has ended; nothing of it is executed any more.")
            market = order.type == OrderType.MARKET
            data = RequeueData(requeued=Requeued(by=asker.name), resting=UNSET if market else True)
            return transition(position(order), Event.REQUEUE, asker.sign(data), delay_ms=0 if market else None)

        return self._apply(order, decide)

    def cancel_many(self, orders: Sequence[Order], asker: Asker) -> list[Order | ApiError]:
        """Cancels orders together; for each the order as it is cancelled, or why it is not."""
        free = [order for order in orders if order.plan_id is None and order.status == Status.PENDING]
        changes = [transition(position(order), Event.CANCEL, asker.sign(CancelData())) for order in free]
        if changes:
            with self._pool.connection() as connection:
                rows = statements.record(connection, changes)
            pairs = zip(changes, rows, strict=True)
            self._after_commit.recorded([(change, row) for change, row in pairs if row is not None])
        now = Order.objects.in_bulk([order.pk for order in orders])
        return [self._cancelled(now.get(order.pk, order), asker) for order in orders]

    def _cancelled(self, order: Order, asker: Asker) -> Order | ApiError:
        """One that has moved meanwhile is asked for once more, by itself."""
        if order.status == Status.CANCELLED:
            return order
        try:
            return self.cancel(order, asker)
        except ApiError as error:
            return error

    def create_plan(self, plan: NewPlan) -> tuple[UUID, bool]:
        """Its id, and whether it is an earlier one with the same key. Its first order counts as one of the account's.

        Raises `ApiError`: IDEMPOTENCY_CONFLICT, OPEN_ORDERS_EXCEED_MAXIMUM, ORDERS_PER_MINUTE_EXCEED_MAXIMUM.
        """
        counted = counts_orders(plan.account_id)

        def act(connection: statements.Connection) -> tuple[tuple[UUID, bool], list[Effects]]:
            with connection.transaction():
                denial = Counted(connection, [plan.account_id]).add(plan.account_id) if counted else None
                if denial is not None:  # Unless it was made before.
                    if (found := plans.earlier(connection, plan)) is None:
                        raise denied(denial)
                    return (found, True), []
                plan_id, replayed, follows = plans.create(connection, plan)
            return (plan_id, replayed), follows

        return self._transact(act)

    def earlier_plan(self, plan: NewPlan) -> UUID | None:
        """The plan that was made before with its keys. Raises `ApiError`: IDEMPOTENCY_CONFLICT."""
        return self._transact(lambda connection: (plans.earlier(connection, plan), []))

    def change_plan(self, plan: Plan, wanted: PlanStatus, asker: Asker) -> Plan:
        """Cancels (`CLOSING`), pauses or resumes a plan; again: the same. Raises `ApiError` as `orders.plans.commands`."""

        def act(connection: statements.Connection) -> tuple[None, list[Effects]]:
            said = {"asked": wanted} | asker.said
            return None, plans.change(connection, plan.pk, wanted, plans.CHECKS[wanted], said, seq=asker.seq)

        self._transact(act)
        return Plan.objects.get(pk=plan.pk)

    def amend_plan(self, plan: Plan, exits: Mapping[str, Any], asker: Asker) -> Plan:
        """Changes exits of a bracket, by their legs.

        Raises `ApiError` as `orders.plans.commands.amend`, `orders.plans.market.check_exits`, `orders.trailing.check_distance`.
        """
        if plan.status == PlanStatus.ACTIVE and plan.kind == PlanKind.BRACKET:
            check_priced(plan, exits)
        for leg, fields in exits.items():
            stop = Order.objects.filter(plan=plan, leg=leg, finished_at=None).order_by("-round").first()
            if "trail_bps" in fields and stop is not None and stop.trail_bps is not None:
                check_distance(stop, fields["trail_bps"], f"exits.{leg}.trailBps")

        def act(connection: statements.Connection) -> tuple[None, list[Effects]]:
            return None, plans.amend(connection, plan.pk, exits, asker.said, seq=asker.seq)

        self._transact(act)
        return Plan.objects.get(pk=plan.pk)

    def _transact(self, act: Callable[[statements.Connection], tuple[Done, list[Effects]]]) -> Done:
        """What follows is carried out after the commit."""
        for _ in range(TRIES):
            try:
                with self._pool.connection() as connection:
                    done, follows = act(connection)
            except (plans.Busy, psycopg.errors.FeatureNotSupported):
                time.sleep(BUSY_PAUSE_S)
                continue
            self._after_commit.carry_out(follows)
            return done
        raise ApiError("TOO_LATE", "The plan's orders move too fast to be changed; try again.")

    def _apply(self, order: Order, decide: Callable[[Order], Change | None]) -> Order:
        for _ in range(TRIES):
            wanted = decide(order)
            if wanted is None:
                return order
            try:
                with self._pool.connection() as connection:
                    [row] = statements.record(connection, [wanted])
            except psycopg.errors.FeatureNotSupported:  # A plan of before a schema change; nothing was executed.
                continue
            if row is not None:
                self._after_commit.recorded([(wanted, row)])
            order = Order.objects.get(pk=order.pk)
            if row is not None:
                return order
        raise ApiError("TOO_LATE", "The order moves too fast to be changed.")


def check_priced(plan: Plan, exits: Mapping[str, Any]) -> None:
    """Raises `ApiError` where an exit would be due at its new price."""
    changed = plans.amended(msgspec.convert(plan.spec, Bracket, strict=False), exits)
    cost = plan.progress.get("cost")
    moved = {
        f"exits.{exit.leg}": exit for exit in changed.exits if exits.get(exit.leg, {}).keys() & {"price", "at_bps"}
    }
    check_exits(changed, moved, None if cost is None else Decimal(cost))


def alone(order: Order) -> None:
    """Raises `ApiError` PART_OF_PLAN for a leg of a plan: the plan says what becomes of it."""
    if order.plan_id is not None:
        raise ApiError(
            "PART_OF_PLAN",
            f"The order belongs to the plan {order.plan_id}: change or cancel that.",
            {"planId": [str(order.plan_id)]},
        )


def position(order: Order) -> Position:
    return Position(order.id, order.account_id, order.epoch, order.seq, order.status)


def amendment(order: Order, wanted: AmendIn) -> Amended:
    """What the amendment changes, checked. Raises `ApiError`: VALIDATION_FAILED, PRICE_NOT_SENSIBLE."""
    limit_price = wanted.limit_price
    asked_price: Decimal | None | UnsetType = UNSET
    if wanted.price_in is not UNSET and limit_price is UNSET:
        raise invalid("priceIn", "needs limitPrice")
    if isinstance(limit_price, Decimal):
        if order.type != OrderType.LIMIT:
            raise invalid("limitPrice", "belongs to limit orders only")
        if order.trail_bps is not None:
            raise invalid("limitPrice", "of a trailing stop follows the market; its trailBps can be amended")
        limit_price, asked_price = new_limit(order, limit_price, wanted.price_in)
        pair = tokens().pair(mint_of(order.token_in), mint_of(order.token_out))
        if pair is not None and not wanted.allow_far_price:
            check_price(limit_price, present(pair), datetime.now(UTC), asked_price=asked_price or None)
    if wanted.trail_bps is not UNSET and order.trail_bps is None:
        raise invalid("trailBps", "belongs to trailing stops only")
    amount = wanted.amount
    if isinstance(amount, Decimal):
        if order.exact_out is not None:
            raise invalid("amount", "is not the order's: its amountOut can be amended")
        if order.amount is None:
            raise invalid("amount", "is a share, which cannot be amended; cancel the order and place another one")
        amount = checked_amount(amount, token("tokenIn", mint_of(order.token_in)))
    exact_out, amount_in_max = output_amended(order, wanted)
    expires_at = wanted.expires_at
    if expires_at is not UNSET:
        expires_at = checked_expiry(expires_at, datetime.now(UTC))
    amended = Amended(
        limit_price=UNSET if limit_price is UNSET else text(limit_price),
        asked_price=text(asked_price) if isinstance(asked_price, Decimal) else asked_price,
        amount=UNSET if amount is UNSET else text(amount),
        exact_out=exact_out,
        amount_in_max=amount_in_max,
        slippage_bps=wanted.slippage_bps,
        trail_bps=wanted.trail_bps,
        expires_at=expires_at,
    )
    if amended.empty:
        raise invalid("body", "names nothing to amend")
    return amended


def output_amended(order: Order, wanted: AmendIn) -> tuple[str | UnsetType, str | UnsetType]:
    """What is to be received, and the most that is sold for it, as they are amended."""
    found: list[str | UnsetType] = []
    sides = (("amountOut", wanted.amount_out, order.token_out), ("amountInMax", wanted.amount_in_max, order.token_in))
    for field, amount, stored in sides:
        if amount is not UNSET and order.exact_out is None:
            raise invalid(field, "belongs to orders that were placed with amountOut")
        if amount is not UNSET and field == "amountInMax" and order.type == OrderType.LIMIT:
            raise invalid(field, "follows from the price of a limit order")
        found.append(UNSET if amount is UNSET else text(checked_amount(amount, token(field, mint_of(stored)), field)))
    return found[0], found[1]


def as_amended(order: Order, amended: Amended) -> Terms:
    """What decides whether the order may be taken, after the amendment."""

    def after(wanted: str | UnsetType, was: Decimal | None) -> Decimal | None:
        return was if wanted is UNSET else Decimal(wanted)

    return AmendedTerms(
        type=order.type,
        token_in=mint_of(order.token_in),
        token_out=mint_of(order.token_out),
        amount=after(amended.amount, order.amount),
        exact_out=after(amended.exact_out, order.exact_out),
        amount_in_max=after(amended.amount_in_max, order.amount_in_max),
        slippage_bps=order.slippage_bps if amended.slippage_bps is UNSET else amended.slippage_bps,
        limit_price=after(amended.limit_price, order.limit_price),
        trigger_condition=order.trigger_condition,
        worst_price=order.worst_price,
        trail_bps=order.trail_bps,
    )


class AmendedTerms(msgspec.Struct, frozen=True, kw_only=True):
    """See `orders.risk.Terms`."""

    type: str
    token_in: str
    token_out: str
    amount: Decimal | None
    exact_out: Decimal | None
    amount_in_max: Decimal | None
    slippage_bps: int
    limit_price: Decimal | None
    trigger_condition: str | None
    worst_price: Decimal | None
    trail_bps: int | None


def new_limit(order: Order, price: Decimal, price_in: str | UnsetType) -> tuple[Decimal, Decimal | None | UnsetType]:
    """The limit per tokenIn, and as asked in tokenIn; that is null where the order's was and is not any more."""
    was = asked_in_token_in(order.limit_price, order.asked_price, order.trigger_condition)
    if price_in is UNSET:
        price_in = TOKEN_OUT if was is None else TOKEN_IN
    limit_price, asked_price = limit_of(price, price_in, order.trigger_condition)
    assert limit_price is not None
    return limit_price, UNSET if asked_price is None and order.asked_price is None else asked_price


_installed: list[Commands] = []
"""Django makes its views itself, so they find the process' commands here. Their owner (`orders.web.Web`) installs them."""


def install(commands: Commands) -> None:
    _installed[:] = [commands]


def uninstall() -> None:
    _installed.clear()


def installed() -> Commands:
    """The commands of this process. Raises `RuntimeError` in a process that has none."""
    if not _installed:
        raise RuntimeError("this process does not change orders: nobody has installed its commands")
    return _installed[0]


def cancel(order: Order, asker: Asker) -> Order:
    """`Commands.cancel` of this process."""
    return installed().cancel(order, asker)


def amend(order: Order, wanted: AmendIn, asker: Asker) -> Order:
    """`Commands.amend` of this process."""
    return installed().amend(order, wanted, asker)


def cancel_many(orders: Sequence[Order], asker: Asker) -> list[Order | ApiError]:
    """`Commands.cancel_many` of this process."""
    return installed().cancel_many(orders, asker)


def create_plan(plan: NewPlan) -> tuple[UUID, bool]:
    """`Commands.create_plan` of this process."""
    return installed().create_plan(plan)


def earlier_plan(plan: NewPlan) -> UUID | None:
    """`Commands.earlier_plan` of this process."""
    return installed().earlier_plan(plan)


def change_plan(plan: Plan, wanted: PlanStatus, asker: Asker) -> Plan:
    """`Commands.change_plan` of this process."""
    return installed().change_plan(plan, wanted, asker)


def amend_plan(plan: Plan, exits: Mapping[str, Any], asker: Asker) -> Plan:
    """`Commands.amend_plan` of this process."""
    return installed().amend_plan(plan, exits, asker)


def requeue(order: Order, asker: Asker, *, epoch: int | None = None) -> Order:
    """`Commands.requeue` of this process."""
    return installed().requeue(order, asker, epoch=epoch)
