"""The tables. Only `orders.ledger.statements` changes orders; everything else reads.

Rows of orders are updated four times in two seconds, so what their updates touch is chosen with care: no index covers a
column that changes on the way (status, seq, epoch, executor), hence those updates stay on their page (HOT).
The index over orders in work hangs on `run_at`, which is set once and cleared once.
"""

from typing import Any

from django.db import models
from django.db.models import F, Q

from accounts.models import Account
from orders.lifecycle import Status
from orders.mints import mint_of
from routing.world import tokens

PRICE: dict[str, Any] = {"max_digits": 38, "decimal_places": 18}


def called(stored: str) -> str:
    """What people read for a row's token."""
    return tokens().label(mint_of(stored))


class OrderType(models.TextChoices):
    MARKET = "market"
    LIMIT = "limit"
    SNIPER = "sniper"


class TriggerCondition(models.TextChoices):
    GTE = "gte"
    LTE = "lte"


class SniperKind(models.TextChoices):
    TOKEN_LAUNCH = "token_launch"
    LIQUIDITY = "liquidity"
    VOLUME = "volume"


def choices(enum: type[Status]) -> list[tuple[str, str]]:
    return [(member.value, member.value) for member in enum]


class PlanKind(models.TextChoices):
    BRACKET = "bracket"
    SCHEDULE = "schedule"


class PlanStatus(models.TextChoices):
    ACTIVE = "active"
    PAUSED = "paused"
    CLOSING = "closing"
    """Cancelled while a leg is at work: it ends when that leg does."""
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    FAILED = "failed"


class Plan(models.Model):
    """Orders that belong together: what is wanted of them (`spec`), and whose turn it is. Changed by `orders.plans` alone."""

    id = models.UUIDField(primary_key=True)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_constraint=False, db_index=False)
    client_plan_id = models.CharField(max_length=64, null=True, blank=True)
    idempotency_key = models.CharField(max_length=300, null=True, blank=True)
    request_hash = models.BinaryField(max_length=32)
    kind = models.CharField(max_length=8, choices=PlanKind.choices)
    spec = models.JSONField()
    """`orders.plans.values.Bracket` or `Schedule`."""
    progress = models.JSONField(default=dict)
    """What the last step counted: derived from the legs, kept for lists."""
    status = models.CharField(max_length=9, choices=PlanStatus.choices, default=PlanStatus.ACTIVE)
    seq = models.IntegerField(default=1)
    """Of the last event."""
    holder = models.UUIDField(null=True, blank=True)
    """Whose turn it is: the order at work; the plan's own id while its step is due; null: any leg's that fires."""
    due_at = models.DateTimeField(null=True, blank=True)
    """When time alone makes a step due."""
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(name="plan_kind", condition=Q(kind__in=PlanKind.values)),
            models.CheckConstraint(name="plan_status", condition=Q(status__in=PlanStatus.values)),
            models.CheckConstraint(
                name="plan_ended",
                condition=Q(status__in=["active", "paused", "closing"], finished_at=None)
                | Q(status__in=["completed", "cancelled", "expired", "failed"], finished_at__isnull=False, due_at=None),
            ),
            models.UniqueConstraint(
                name="plan_client_plan_id",
                fields=["account", "client_plan_id"],
                condition=Q(client_plan_id__isnull=False),
            ),
            models.UniqueConstraint(
                name="plan_idempotency_key",
                fields=["account", "idempotency_key"],
                condition=Q(idempotency_key__isnull=False),
            ),
        ]
        indexes = [
            # GET /api/plans: an account's plans, newest first.
            models.Index(name="plan_of_account", fields=["account", "-id"]),
            # step_plans: plans whose time has come.
            models.Index(name="plan_due", fields=["due_at"], condition=Q(due_at__isnull=False)),
            # step_plans: plans to whose legs something has happened.
            models.Index(name="plan_waiting", fields=["id"], condition=Q(holder=F("id"))),
            # Webhooks: what happened to an account's plans.
            models.Index(name="plan_changed", fields=["account", "updated_at"]),
        ]

    def __str__(self) -> str:
        return f"{self.kind} ({self.id})"


class PlanEvent(models.Model):
    """One step of a plan. Append only."""

    pk = models.CompositePrimaryKey("plan_id", "seq")
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="events", db_constraint=False, db_index=False)
    seq = models.IntegerField()
    status = models.CharField(max_length=9, choices=PlanStatus.choices)
    at = models.DateTimeField()
    data = models.JSONField(default=dict)


class Order(models.Model):
    id = models.UUIDField(primary_key=True)
    # No constraint in the database: it would lock the account's row once an order. Accounts with orders cannot be deleted.
    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_constraint=False, db_index=False)
    client_order_id = models.CharField(max_length=64, null=True, blank=True)
    idempotency_key = models.CharField(max_length=300, null=True, blank=True)
    request_hash = models.BinaryField(max_length=32)
    """SHA-256 of the order as asked for: distinguishes a repeated request from another one with the same key."""
    request_id = models.CharField(max_length=128, null=True, blank=True)
    """Of the client's request, if it gave one (`X-Request-Id`): in event 1, and in what executors log of the order."""

    type = models.CharField(max_length=8, choices=OrderType.choices)
    token_in = models.CharField(max_length=44)
    token_out = models.CharField(max_length=44)
    """Mints, as `token_in`. Processes of the version before write symbols: read both by `orders.mints`."""
    amount = models.DecimalField(null=True, blank=True, **PRICE)
    """Of tokenIn. Null: a share, `percent`."""
    percent = models.SmallIntegerField(null=True, blank=True)
    """Of what the wallet has of tokenIn when the order is executed; then `amount` is null."""
    exact_out = models.DecimalField(null=True, blank=True, **PRICE)
    """Of tokenOut, what it is to receive, no less and no more; then `amount` is null."""
    amount_in_max = models.DecimalField(null=True, blank=True, **PRICE)
    """Of an exact output, the most of tokenIn that is sold for it. Null: what slippage and limit allow."""
    slippage_bps = models.IntegerField()
    limit_price = models.DecimalField(null=True, blank=True, **PRICE)
    """tokenOut per tokenIn: the worst price of a `gte` order, the trigger of an `lte` one."""
    asked_price = models.DecimalField(null=True, blank=True, **PRICE)
    """The limit as it was asked for in tokenIn per tokenOut; null: `limit_price` is what was asked. See `orders.limits`."""
    trigger_condition = models.CharField(max_length=3, choices=TriggerCondition.choices, null=True, blank=True)
    trigger_kind = models.CharField(max_length=16, choices=SniperKind.choices, null=True, blank=True)
    min_liquidity = models.DecimalField(null=True, blank=True, **PRICE)
    volume_factor = models.DecimalField(null=True, blank=True, **PRICE)
    trail_bps = models.IntegerField(null=True, blank=True)
    """Of a trailing stop (`lte`): how far below the highest price since it was armed it fires; its limit_price follows from that
    and is the least price there is until it has fired."""
    activation_price = models.DecimalField(null=True, blank=True, **PRICE)
    """Of a trailing stop: the price that must be reached before it follows."""
    trail_high = models.DecimalField(null=True, blank=True, **PRICE)
    """Of a trailing stop that has fired: the high that it had followed."""
    worst_price = models.DecimalField(null=True, blank=True, **PRICE)
    """Of a stop (`lte`): once it has fired it is a limit order at this price."""
    time_in_force = models.CharField(max_length=3, null=True, blank=True)
    """ioc: one attempt, never resting. Null: gtc."""
    launched_before = models.BooleanField(null=True, blank=True)
    """Of a launch sniper: the pair was already traded when the order came, so it waits for another launch."""
    max_price_impact_bps = models.IntegerField(null=True, blank=True)
    max_fee_lamports = models.BigIntegerField(null=True, blank=True)
    """What it pays the chain at most, rent apart. Null: what the engine allows."""
    gates = models.JSONField(null=True, blank=True)
    """Of a sniper: what it asks of the token it buys, the JSON of `routing.gates.Gates`."""
    gates_since = models.DateTimeField(null=True, blank=True)
    """When a gate was unknown for the first time; the gates' timeout counts from then."""
    expires_at = models.DateTimeField(null=True, blank=True)
    mode = models.CharField(max_length=16, null=True, blank=True)
    """`routing.cluster.mode` at its intake: executors of another mode leave it alone. Null in older rows, all of the mock."""
    wallet = models.CharField(max_length=44, null=True, blank=True)
    """Public key of who sells, pays and signs; null on the mock, which has no wallets."""

    plan = models.ForeignKey(
        Plan,
        on_delete=models.PROTECT,
        related_name="orders",
        null=True,
        blank=True,
        db_constraint=False,
        db_index=False,
    )
    leg = models.CharField(max_length=16, null=True, blank=True)
    """Which part of its plan: entry, tp1, stop, slice."""
    round = models.IntegerField(null=True, blank=True)
    """The how many-th order of this leg, from 1."""

    status = models.CharField(max_length=9, choices=choices(Status), default=Status.PENDING)
    seq = models.IntegerField(default=1)
    """Of the last event."""
    epoch = models.IntegerField(default=0)
    """Grows with every change of owner; a write that names an older one is refused."""
    executor = models.UUIDField(null=True, blank=True)
    attempts = models.IntegerField(default=0)
    resting = models.BooleanField(default=False)
    """Waits for its trigger."""
    run_at = models.DateTimeField(null=True, blank=True)
    """In work since, or to be worked on from. Null: resting or final."""

    venue = models.CharField(max_length=16, null=True, blank=True)
    executed_price = models.DecimalField(null=True, blank=True, **PRICE)
    amount_in = models.DecimalField(null=True, blank=True, **PRICE)
    """Of tokenIn: what its transaction takes, and once confirmed what it took; null on the mock."""
    amount_out = models.DecimalField(null=True, blank=True, **PRICE)
    fee = models.DecimalField(null=True, blank=True, **PRICE)
    tx_hash = models.CharField(max_length=96, null=True, blank=True)
    slot = models.BigIntegerField(null=True, blank=True)
    fees = models.JSONField(null=True, blank=True)
    """What it cost, all kinds: the JSON of `orders.events.FeeData`."""
    parts = models.JSONField(null=True, blank=True)
    """Of a split: what each pool took and paid."""
    failure_code = models.CharField(max_length=64, null=True, blank=True)
    failure_message = models.TextField(null=True, blank=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        # A check is passed by NULL as well as by true, so what must be there is asked for by name.
        constraints = [
            models.CheckConstraint(name="order_status", condition=Q(status__in=[s.value for s in Status])),
            models.CheckConstraint(name="order_type", condition=Q(type__in=OrderType.values)),
            models.CheckConstraint(name="order_amount_positive", condition=Q(amount__gt=0)),
            models.CheckConstraint(
                name="order_one_amount",
                condition=Q(amount__isnull=False, percent=None, exact_out=None, amount_in_max=None)
                | Q(amount=None, percent__isnull=False, percent__range=(1, 100), exact_out=None, amount_in_max=None)
                | Q(amount=None, percent=None, exact_out__isnull=False, exact_out__gt=0),
            ),
            models.CheckConstraint(name="order_amount_in_max_positive", condition=Q(amount_in_max__gt=0)),
            models.CheckConstraint(name="order_slippage_bps", condition=Q(slippage_bps__range=(0, 5000))),
            models.CheckConstraint(name="order_two_tokens", condition=~Q(token_in=F("token_out"))),
            models.CheckConstraint(
                name="order_limit_has_price",
                condition=~Q(type="limit")
                | Q(
                    limit_price__isnull=False,
                    limit_price__gt=0,
                    trigger_condition__isnull=False,
                    trigger_condition__in=TriggerCondition.values,
                ),
            ),
            models.CheckConstraint(
                name="order_sniper_has_trigger",
                condition=~Q(type="sniper") | Q(trigger_kind__isnull=False, trigger_kind__in=SniperKind.values),
            ),
            models.CheckConstraint(
                name="order_in_one_place",
                condition=Q(status="pending", resting=True, run_at=None, finished_at=None)
                | Q(status="pending", resting=False, run_at__isnull=False, finished_at=None)
                | Q(
                    status__in=["routing", "building", "submitted"],
                    resting=False,
                    run_at__isnull=False,
                    finished_at=None,
                    executor__isnull=False,
                )
                # Between two executors: its transaction may be under way, nobody holds it.
                | Q(status="submitted", resting=False, run_at__isnull=False, finished_at=None, executor=None)
                | Q(
                    status__in=["confirmed", "failed", "cancelled", "expired"],
                    resting=False,
                    run_at=None,
                    finished_at__isnull=False,
                ),
            ),
            models.CheckConstraint(
                name="order_confirmed_has_fill",
                condition=~Q(status="confirmed")
                | Q(
                    tx_hash__isnull=False,
                    amount_out__isnull=False,
                    amount_out__gt=0,
                    executed_price__isnull=False,
                    executed_price__gt=0,
                ),
            ),
            models.CheckConstraint(
                name="order_failed_says_why", condition=~Q(status="failed") | Q(failure_code__isnull=False)
            ),
            models.UniqueConstraint(
                name="order_client_order_id",
                fields=["account", "client_order_id"],
                condition=Q(client_order_id__isnull=False),
            ),
            models.UniqueConstraint(
                name="order_idempotency_key",
                fields=["account", "idempotency_key"],
                condition=Q(idempotency_key__isnull=False),
            ),
            # A step that is taken twice makes each order once. Also finds a plan's legs.
            models.UniqueConstraint(
                name="order_of_plan", fields=["plan", "leg", "round"], condition=Q(plan__isnull=False)
            ),
        ]
        indexes = [
            # GET /api/orders: an account's orders, newest first (ids sort by time).
            models.Index(name="order_of_account", fields=["account", "-id"]),
            # reconcile: orders in work or due.
            models.Index(name="order_in_work", fields=["run_at"], condition=Q(run_at__isnull=False)),
            # Rebuilding the trigger book of a pair.
            models.Index(name="order_resting", fields=["token_in", "token_out", "id"], condition=Q(resting=True)),
            # expire_orders: what expires while it waits.
            models.Index(
                name="order_expiring",
                fields=["expires_at"],
                condition=Q(expires_at__isnull=False, finished_at=None),
            ),
            # GET /api/orders?updatedAfter=: what ended since, beside what is open.
            models.Index(
                name="order_finished", fields=["account", "finished_at"], condition=Q(finished_at__isnull=False)
            ),
            # GET /api/orders?status=failed|cancelled|expired: the few among many confirmed.
            models.Index(
                name="order_unfilled",
                fields=["account", "-id"],
                condition=Q(finished_at__isnull=False, tx_hash=None),
            ),
            # GET /api/orders?status=pending…submitted, and the admin's counts of what is open.
            models.Index(name="order_open", fields=["account", "-id"], condition=Q(finished_at=None)),
        ]

    @property
    def asked(self) -> str:
        """The amount of tokenIn as it was asked for: `1.5`, or `100 % of`; nothing for an exact output."""
        if self.exact_out is not None:
            return ""
        return f"{self.percent} % of" if self.amount is None else f"{self.amount.normalize():f}"

    @property
    def asked_out(self) -> str:
        """The amount of tokenOut as it was asked for; nothing where none was."""
        return "" if self.exact_out is None else f"{self.exact_out.normalize():f}"

    def __str__(self) -> str:
        sold = f"{self.asked} {called(self.token_in)}".strip()
        bought = f"{self.asked_out} {called(self.token_out)}".strip()
        return f"{self.type} {sold} → {bought} ({self.id})"


class OrderEvent(models.Model):
    """One step of an order. Append only."""

    pk = models.CompositePrimaryKey("order_id", "seq")
    # Written in the statement that changes the order, so a foreign key would only check what cannot be wrong.
    order = models.ForeignKey(
        Order, on_delete=models.PROTECT, related_name="events", db_constraint=False, db_index=False
    )
    seq = models.IntegerField()
    epoch = models.IntegerField()
    """Of the writer: shows, after a connection broke at the commit, whose event this is."""
    status = models.CharField(max_length=9, choices=choices(Status))
    at = models.DateTimeField()
    data = models.JSONField(default=dict)


class KeptFill(models.Model):
    """What a purged order traded: books go on when an order is forgotten. Written by the statement that purges the order."""

    id = models.UUIDField(primary_key=True)
    """The order's."""
    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_constraint=False, db_index=False)
    seq = models.IntegerField()
    at = models.DateTimeField()
    type = models.CharField(max_length=8)
    client_order_id = models.CharField(max_length=64, null=True)
    token_in = models.CharField(max_length=44)
    token_out = models.CharField(max_length=44)
    amount_in = models.DecimalField(**PRICE)
    amount_out = models.DecimalField(**PRICE)
    executed_price = models.DecimalField(**PRICE)
    venue = models.CharField(max_length=16)
    fee = models.DecimalField(null=True, **PRICE)
    fees = models.JSONField(null=True)
    parts = models.JSONField(null=True, blank=True)
    tx_hash = models.CharField(max_length=96)
    slot = models.BigIntegerField(null=True)
    wallet = models.CharField(max_length=44, null=True)
    mode = models.CharField(max_length=16)
    plan_id = models.UUIDField(null=True)
    leg = models.CharField(max_length=16, null=True)

    class Meta:
        indexes = [
            # books/sql/fills.sql: an account's fills in the order of time.
            models.Index(name="kept_fill_of_account", fields=["account", "at", "id"]),
        ]


class DeadMan(models.Model):
    """An account's dead man's switch: unless it is set anew, the account's orders are cancelled at that time."""

    account = models.OneToOneField(Account, on_delete=models.CASCADE, primary_key=True, db_constraint=False)
    at = models.DateTimeField()
    seconds = models.IntegerField()
    scope = models.CharField(max_length=8)
    """entries: what would open or enlarge a position; all."""
    extended = models.BooleanField(default=False)
    """It was due while the engine was down, and got one more period."""

    class Meta:
        indexes = [models.Index(name="dead_man_due", fields=["at"])]


class PairHigh(models.Model):
    """The highest price of a second that counted for the trailing stops of a pair; kept until a later one is as high."""

    pk = models.CompositePrimaryKey("pair", "at")
    pair = models.CharField(max_length=140)
    at = models.DateTimeField()
    high = models.DecimalField(**PRICE)


class Resolution(models.TextChoices):
    LANDED = "landed"
    REVERTED = "reverted"
    REFUSED = "refused"
    EXPIRED = "expired"


class Transaction(models.Model):
    """The write-ahead intent: committed before anything is sent. Unresolved: it may land."""

    signature = models.CharField(max_length=96, primary_key=True)
    order = models.ForeignKey(
        Order, on_delete=models.PROTECT, related_name="transactions", db_constraint=False, db_index=False
    )
    epoch = models.IntegerField()
    attempt = models.IntegerField()
    venue = models.CharField(max_length=16)
    wallet = models.CharField(max_length=44, null=True)
    """Public key of who signed it; null on the mock."""
    payload = models.BinaryField()
    amount_in = models.DecimalField(null=True, **PRICE)
    """Of tokenIn, what it takes; null on the mock."""
    min_out = models.DecimalField(**PRICE)
    valid_until = models.DateTimeField()
    """About the time at which it ends to be valid, for people to read."""
    validity = models.BigIntegerField(null=True)
    """Until when it may land, in the chain's own measure. Null in older rows, all of the mock chain: `valid_until` in µs."""
    created_at = models.DateTimeField()
    resolution = models.CharField(max_length=8, choices=Resolution.choices, null=True, blank=True)
    resolved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            # An order's transactions: detail, takeover.
            models.Index(name="transaction_of_order", fields=["order"]),
        ]
        constraints = [
            # One intent at a time: the next is built only after this one is resolved.
            models.UniqueConstraint(
                name="transaction_one_unresolved", fields=["order"], condition=Q(resolution__isnull=True)
            ),
        ]


class Reservation(models.Model):
    """What an order in work may still spend of its wallet. Made before it is routed; an order that ends leaves it to the next
    reservation of the wallet to be cleared away (`ledger/reserved.sql`)."""

    order = models.OneToOneField(Order, on_delete=models.CASCADE, primary_key=True, db_constraint=False)
    wallet = models.CharField(max_length=44)
    mint = models.CharField(max_length=44)
    """Of tokenIn."""
    units = models.DecimalField(max_digits=20, decimal_places=0)
    """Base units of it."""
    lamports = models.BigIntegerField()
    """What it may pay the chain."""

    class Meta:
        indexes = [
            # Reserving and GET /api/wallets: what is reserved of a wallet.
            models.Index(name="reservation_of_wallet", fields=["wallet"]),
        ]


class Executor(models.Model):
    """A worker process that executes orders. One heartbeat a process, not an order."""

    class State(models.TextChoices):
        ALIVE = "alive"
        STOPPED = "stopped"
        DEAD = "dead"

    id = models.UUIDField(primary_key=True)
    name = models.CharField(max_length=128)
    pid = models.IntegerField()
    state = models.CharField(max_length=7, choices=State.choices, default=State.ALIVE)
    in_flight = models.IntegerField(default=0)
    started_at = models.DateTimeField()
    heartbeat_at = models.DateTimeField()

    class Meta:
        indexes = [
            # reconcile: who is alive.
            models.Index(name="executor_alive", fields=["heartbeat_at"], condition=Q(state="alive")),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.state})"


class Alert(models.Model):
    """What somebody should be told of (`orders.alerts`). Append only."""

    id = models.UUIDField(primary_key=True)
    account = models.ForeignKey(
        Account, on_delete=models.CASCADE, null=True, blank=True, db_constraint=False, db_index=False
    )
    """Null: for operators only."""
    kind = models.CharField(max_length=32)
    at = models.DateTimeField()
    data = models.JSONField(default=dict)
    once = models.CharField(max_length=200, null=True, blank=True, unique=True)
    """Of those with the same one there is one."""

    class Meta:
        # Webhooks: what is new.
        indexes = [models.Index(name="alert_at", fields=["at"])]


class DeadLetter(models.Model):
    """A failed order, with the history of its attempts, until somebody deals with it."""

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="dead_letters", db_constraint=False)
    epoch = models.IntegerField()
    reason = models.CharField(max_length=64)
    history = models.JSONField()
    """One entry a failed attempt: attempt, code, message, venue, permanent, at."""
    created_at = models.DateTimeField()
    announced_at = models.DateTimeField(null=True, blank=True)
    """When its message went to the queue `dead`."""
    resolved_at = models.DateTimeField(null=True, blank=True)
    resolved_by = models.CharField(max_length=150, null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(name="dead_letter_once", fields=["order", "epoch"])]
        indexes = [
            models.Index(name="dead_letter_open", fields=["-id"], condition=Q(resolved_at=None)),
            # reconcile: dead letters whose message was not sent.
            models.Index(name="dead_letter_unannounced", fields=["id"], condition=Q(announced_at=None)),
        ]

    def __str__(self) -> str:
        return f"{self.reason}: {self.order_id}"
