"""One transaction that buys a token and sells it again, and what its simulation says of the token. Nothing of it is ever signed.

What cannot be sold, or is taxed, is seen here whatever its maker calls it: the pool's and the token's own programs run.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from solders.hash import Hash
from solders.instruction import Instruction
from solders.message import MessageV0
from solders.pubkey import Pubkey

from routing.gates import Finding, Verdict
from routing.solana.addresses import SYSTEM
from routing.solana.failures import failure
from routing.solana.gate import Simulated, moved, own_tokens
from routing.solana.safety import SYSTEM_TRANSFER
from routing.solana.transaction import MAX_UNITS, compiled, compute_limit

GATE = "sellable"


class RoundTrip(msgspec.Struct, frozen=True):
    """Amounts in base units."""

    wallet: Pubkey
    paid: Pubkey
    """Mint of what is paid with."""
    bought: Pubkey
    amount: int
    """What is paid."""
    sells: int
    """What of the token is sold again: the least that has to arrive."""
    instructions: Sequence[Instruction]
    """The last two are the purchase and the sale."""

    def message(self) -> MessageV0:
        """Of any block hash: the simulation takes the newest."""
        return compiled(self.wallet, self.in_order, Hash.default())

    @property
    def in_order(self) -> list[Instruction]:
        return [compute_limit(MAX_UNITS), *self.instructions]

    @property
    def wrapped(self) -> int:
        """Lamports that are wrapped for the purchase."""
        transfers = (bytes(each.data) for each in self.instructions if each.program_id == SYSTEM)
        return sum(int.from_bytes(data[4:12], "little") for data in transfers if data[:4] == SYSTEM_TRANSFER)


def judge(trip: RoundTrip, simulated: Simulated, most_loss_bps: int) -> Finding:
    if simulated.err is not None:
        return _failed(trip, simulated.err, simulated.logs)
    sides = simulated.pre_token_balances, simulated.post_token_balances
    lamports = simulated.pre_balances, simulated.post_balances
    if None in sides or None in lamports:
        return Finding(GATE, Verdict.UNKNOWN, "the node does not tell balances before and after")
    before, after = (own_tokens(side or [], str(trip.wallet)) for side in sides)
    change = moved(before, after, lamports[0] or [], lamports[1] or [])
    back = change[str(trip.paid)] - trip.wrapped + trip.amount
    arrived = trip.sells + change[str(trip.bought)]
    # What was not sold is worth as much a unit as what was.
    lost_bps = max(0, 10_000 - back * arrived * 10_000 // (trip.sells * trip.amount))
    said = f"buying it and selling it again costs {lost_bps / 100:g} %"
    if lost_bps > most_loss_bps:
        return Finding(GATE, Verdict.FAIL, f"{said}, allowed are {most_loss_bps / 100:g} %")
    return Finding(GATE, Verdict.PASS, said)


def _failed(trip: RoundTrip, err: Any, logs: Sequence[str] | None) -> Finding:
    """A sale that is refused speaks against the token; whatever else fails may not in a moment."""
    programs = [each.program_id for each in trip.in_order]
    found = failure(err, logs, programs)
    detail = err.get("InstructionError") if isinstance(err, dict) else None
    if isinstance(detail, list) and detail[0] == len(programs) - 1:
        return Finding(GATE, Verdict.FAIL, f"what was bought cannot be sold: {found.message}")
    return Finding(GATE, Verdict.UNKNOWN, f"it cannot be bought now: {found.message}")
