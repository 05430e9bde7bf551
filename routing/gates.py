"""Whether a token may be bought unseen: what has to hold, what was looked at, and what was found. Pure.

Unknown is never a pass: whoever buys on it buys what somebody has hidden.
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from decimal import Context, Decimal
from enum import StrEnum
from typing import Annotated

import msgspec

from routing.values import Pair, VenueName

Share = Annotated[int, msgspec.Meta(ge=0, le=10_000)]
LONGEST = timedelta(days=366)
MAX_SIZE = Decimal(10) ** 18
_EXACT = Context(prec=200)


class Verdict(StrEnum):
    PASS = "pass"  # nosec B105 - no password
    FAIL = "fail"
    UNKNOWN = "unknown"


class Finding(msgspec.Struct, frozen=True):
    gate: str
    """What was looked at, such as `freezeAuthority`."""
    verdict: Verdict
    found: str
    """In words."""


class Gates(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    """What has to hold of a token before a sniper buys it. What is left out is as the account's default says, then everybody's,
    then the engine's. false, and a threshold that everything passes, switch a gate off."""

    mint_authority: bool | None = None
    """Nobody can make more of it."""
    freeze_authority: bool | None = None
    transfer_fee: bool | None = None
    default_frozen: bool | None = None
    non_transferable: bool | None = None
    permanent_delegate: bool | None = None
    transfer_hook: bool | None = None
    pausable: bool | None = None
    sellable: bool | None = None
    """A simulated transaction buys it and sells it again."""
    max_round_trip_loss_bps: Share | None = None
    """What buying and selling again may cost, of what is paid: the pool's fees, the price impact, taxes."""
    max_top_holders_bps: Share | None = None
    """What the ten largest holders may have of the supply, pools and what is burnt apart."""
    min_pool_size: Decimal | None = None
    """Of the quote token, in the pool."""
    min_pool_age: timedelta | None = None
    """Since the pool is open."""
    min_lp_burnt_bps: Share | None = None
    """Of the pool's liquidity: what nobody can take out again."""
    timeout: timedelta | None = None
    """For how long a gate may be unknown before the order ends with GATE_TIMEOUT."""


ENGINES = Gates(
    mint_authority=True,
    freeze_authority=True,
    transfer_fee=True,
    default_frozen=True,
    non_transferable=True,
    permanent_delegate=True,
    transfer_hook=True,
    pausable=True,
    sellable=True,
    max_round_trip_loss_bps=1_000,
    timeout=timedelta(minutes=10),
)
"""The powers of a mint's maker are what no buyer accepts unseen. How much may be in few hands, and how large and old a pool must
be, is a matter of taste: those are not looked at unless somebody says so."""


class Purchase(msgspec.Struct, frozen=True, kw_only=True):
    """What is about to be bought unseen."""

    pair: Pair
    amount: Decimal
    """Of tokenIn."""
    wallet: str | None
    """Public key of who buys."""
    expected: Decimal
    """Of tokenOut, by the offer that is taken."""
    venue: VenueName
    """Whose offer that is."""
    gates: Gates


def merged(layers: Iterable[Gates | None]) -> Gates:
    """Of each gate what the first layer says that says anything."""
    given = [layer for layer in layers if layer is not None]
    values = {
        name: next((value for layer in given if (value := getattr(layer, name)) is not None), None)
        for name in Gates.__struct_fields__
    }
    return Gates(**values)


def problem(gates: Gates) -> tuple[str, str] | None:
    """(field, what is wrong with it); None for gates that can be held to."""
    size = gates.min_pool_size
    if size is not None and not (size.is_finite() and 0 <= size <= MAX_SIZE):
        return "minPoolSize", "must be from 0 to 1e18"
    for field, duration in (("minPoolAge", gates.min_pool_age), ("timeout", gates.timeout)):
        if duration is not None and not timedelta(0) <= duration <= LONGEST:
            return field, "must be a duration from PT0S to P366D"
    return None


def normal(gates: Gates) -> Gates:
    """The same, its size without an exponent: it is shown as it is kept."""
    size = gates.min_pool_size
    return (
        gates if size is None else msgspec.structs.replace(gates, min_pool_size=Decimal(f"{size.normalize(_EXACT):f}"))
    )


def of_json(value: object) -> Gates | None:
    """Gates as a row of the database has them."""
    return None if value is None else msgspec.convert(value, Gates)


def overall(findings: Sequence[Finding]) -> Verdict:
    """Fail where any fails; else unknown where any is, or where nothing was looked at."""
    verdicts = {finding.verdict for finding in findings}
    if Verdict.FAIL in verdicts:
        return Verdict.FAIL
    return Verdict.UNKNOWN if Verdict.UNKNOWN in verdicts or not verdicts else Verdict.PASS
