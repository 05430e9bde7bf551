"""What the steps of an attempt work on, what they return, and how an attempt can fail by the engine's own judgement."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import msgspec

from orders.events import Data
from orders.ledger.values import Claimed, Position
from orders.lifecycle import Event, Status
from orders.mints import mint_of
from risk.values import Denial
from routing.gates import Finding, Verdict
from routing.values import Pair, Selection, Swap
from routing.venue import NoRoute, VenueError
from routing.world import tokens


class PriceImpactTooHigh(VenueError):
    """The order would move the price by more than it allows."""

    code = "PRICE_IMPACT_TOO_HIGH"
    permanent = True


class Reverted(VenueError):
    """The transaction landed with an error; nothing was traded.

    A market that moved, or money that another order took first, may be otherwise at the next attempt, which quotes anew and
    bounds its own slippage; any other error would only be paid for again (docs/decisions/0015).
    """

    def __init__(self, code: str | None, message: str | None = None) -> None:
        super().__init__(f"the transaction landed with an error: {message or code or 'unknown'}")
        self.code = code or "REVERTED"
        self.permanent = code not in ("SLIPPAGE_EXCEEDED", "INSUFFICIENT_FUNDS")


class AmountInTooHigh(VenueError):
    """The output costs more of tokenIn than the order may sell."""

    code = "AMOUNT_IN_TOO_HIGH"


class GateError(VenueError):
    """A gate keeps a sniper from buying; `details` names each by what was found."""

    permanent = True
    verdict: Verdict

    def __init__(self, findings: Sequence[Finding]) -> None:
        named = {each.gate: each.found for each in findings if each.verdict is self.verdict}
        super().__init__("; ".join(f"{gate}: {found}" for gate, found in named.items()))
        self.findings, self.details = findings, named


class GateFailed(GateError):
    """The token is what no buyer would accept unseen, or not what the order asks for."""

    code = "GATE_FAILED"
    verdict = Verdict.FAIL


class GateTimeout(GateError):
    """What has to be known of the token could not be told for too long."""

    code = "GATE_TIMEOUT"
    verdict = Verdict.UNKNOWN


class Denied(VenueError):
    """A rule of risk does not let the order be executed."""

    permanent = True

    def __init__(self, denial: Denial) -> None:
        super().__init__(denial.message)
        self.code = denial.code
        self.details = denial.figures


class TransactionExpired(VenueError):
    """The transaction did not land while it was valid, and cannot any more."""

    code = "TRANSACTION_EXPIRED"


class AttemptsExhausted(VenueError):
    """Every attempt ended without an outcome: the executor crashed, or could not record it."""

    code = "ATTEMPTS_EXHAUSTED"
    permanent = True


class NothingToSell(VenueError):
    """The wallet has nothing of tokenIn that is not reserved, so a share of it is nothing."""

    code = "NOTHING_TO_SELL"
    permanent = True


class WalletNotInUse(VenueError):
    """The wallet is retired, or not this account's."""

    code = "WALLET_RETIRED"
    permanent = True


class KeyUnusable(VenueError):
    """The wallet's key cannot be used here; the engine's log says why."""

    code = "WALLET_KEY_UNUSABLE"
    permanent = True


class NotSigned(VenueError):
    """Nobody signed the transaction."""

    code = "NOT_SIGNED"


class InternalError(VenueError):
    """The engine itself failed at this order."""

    code = "INTERNAL_ERROR"


@dataclass(slots=True)
class Work:
    """An order that this process owns, as far as it is known here."""

    order: Claimed
    status: Status
    seq: int
    swap: Swap | None
    amount: Decimal | None = None
    """Of tokenIn, to be sold in this attempt; of an exact output the most."""
    selection: Selection | None = None
    since: float = field(default_factory=time.monotonic)
    """When it came to this status, in seconds of the monotonic clock."""
    sent: bool = False
    """Whether this process has sent the swap; a swap that was taken over is looked up first."""

    @classmethod
    def begin(cls, order: Claimed) -> "Work":
        return cls(order, order.status, order.seq, order.swap, order.amount)

    @property
    def position(self) -> Position:
        return Position(self.order.id, self.order.account_id, self.order.epoch, self.seq, self.status)

    @property
    def to_sell(self) -> Decimal:
        if self.amount is None:
            raise RuntimeError("the share is not decided")
        return self.amount

    @property
    def pair(self) -> Pair:
        sold, bought = mint_of(self.order.token_in), mint_of(self.order.token_out)
        found = tokens().pair(sold, bought)
        if found is None:
            raise NoRoute(f"{sold}-{bought} is not known")
        return found


class Move(msgspec.Struct, frozen=True):
    """What happened to an order in a step."""

    event: Event
    data: Data
    delay_ms: int | None = None
    intent: Swap | None = None
    resolved: tuple[str, str] | None = None
