"""From a swap's instructions to a signed transaction: inspected, simulated, limited, signed. Nothing is sent."""

import base64
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from msgspec import structs
from solders.instruction import Instruction
from solders.message import MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from routing.signer import Signer, SigningFailed
from routing.solana.addresses import SIGNATURE_LAMPORTS
from routing.solana.blockhash import COMMITMENT, Blockhash, Blockhashes
from routing.solana.failures import BLOCKHASH_NOT_FOUND, INSUFFICIENT_FUNDS, failure
from routing.solana.gate import Simulated, judge
from routing.solana.nodes import NO_ANSWER, At, Nodes
from routing.solana.programs import SwapProgram
from routing.solana.safety import Asked, fee_lamports, inspect
from routing.solana.transaction import (
    Tables,
    all_keys,
    calls,
    compiled,
    compute_limit,
    compute_price,
    limited,
    memo,
    unsigned,
)
from routing.values import Bid
from routing.venue import InsufficientFunds, SimulationFailed, UnsafeTransaction, VenueUnavailable

SIMULATED_UNITS = 400_000
"""The limit that a swap is simulated with: what any single swap needs, and little enough to bid for."""
MARGIN_PERCENT = 120
"""Of the units that the simulation used: a pool that moved meanwhile takes a few more."""
DISTINCT = 1_000
"""Micro-lamports a compute unit that are drawn on top: an order that rests again, or is sent round again, counts its attempts
anew, and its next transaction must not be the bytes of an earlier one. It costs a hundred lamports at most."""
Assemble = Callable[[Blockhash, int, int], MessageV0]
"""(block hash, compute limit, price) → the message with all of them and the memo."""


@dataclass(frozen=True, slots=True)
class Built:
    signature: str
    payload: bytes
    last_valid_height: int
    valid_until: datetime
    bid: Bid


class Builder:
    """`programs`: those whose swaps are signed."""

    def __init__(self, nodes: Nodes, blockhashes: Blockhashes, programs: Mapping[Pubkey, SwapProgram]) -> None:
        self._nodes, self._blockhashes, self._programs = nodes, blockhashes, programs

    async def build(self, asked: Asked, instructions: Sequence[Instruction], signer: Signer, bid: Bid) -> Built:
        """The transaction of our own instructions; see `finish`."""

        def assemble(blockhash: Blockhash, units: int, price: int) -> MessageV0:
            ours = [compute_limit(units), compute_price(price), *instructions, memo(asked.memo)]
            return compiled(asked.wallet, ours, blockhash.hash)

        return await self.finish(asked, assemble, {}, signer, bid)

    async def finish(self, asked: Asked, assemble: Assemble, tables: Tables, signer: Signer, bid: Bid) -> Built:
        """Inspects, simulates, limits and signs what `assemble` makes.

        `bid`: its price is lowered where the order's cap says so; its tip is one of the instructions. Raises `UnsafeTransaction`,
        `SimulationFailed`, `InsufficientFunds`, `VenueUnavailable`.
        """
        if str(asked.wallet) != signer.address:
            raise UnsafeTransaction("the signer is another wallet's")
        most = affordable(asked.max_fee_lamports - bid.tip)
        price = min(bid.price + random.randrange(DISTINCT), most)
        try:
            blockhash, message, used = await self._tried(asked, assemble, tables, price)
        except NO_ANSWER as error:
            raise VenueUnavailable(str(error)) from error
        units = limit_of(used)
        lowered = f", lowered to the cap of {asked.max_fee_lamports} lamports" if bid.price > most else ""
        told = structs.replace(
            bid, price=price, lamports=fee_lamports(units, price) + bid.tip, reason=bid.reason + lowered
        )
        return await self._sealed(limited(message, units, price), blockhash, asked, signer, told)

    async def _tried(
        self, asked: Asked, assemble: Assemble, tables: Tables, price: int
    ) -> tuple[Blockhash, MessageV0, int]:
        """(its block hash, the message, the units it uses). A block hash that the node does not know is replaced once."""
        for last in (False, True):
            blockhash = await self._blockhashes.latest()
            message = assemble(blockhash, SIMULATED_UNITS, price)
            inspected = inspect(message, asked, self._programs, tables)
            watched = [asked.wallet, inspected.swap.source, inspected.swap.destination]
            simulated = await self._simulate(message, watched)
            if simulated.err == BLOCKHASH_NOT_FOUND and not last:
                self._blockhashes.drop(message.recent_blockhash)
                continue
            if simulated.err is not None:
                raise _failed(simulated, [call.program for call in calls(message, tables)])
            used = judge(simulated, asked, inspected, all_keys(message, tables), watched)
            return blockhash, message, used
        raise AssertionError("not reached")

    async def _sealed(self, message: MessageV0, blockhash: Blockhash, asked: Asked, signer: Signer, bid: Bid) -> Built:
        """Signed, once everything has passed."""
        return await _signed(message, blockhash, asked.wallet, signer, bid)

    async def _simulate(self, message: MessageV0, watched: Sequence[Pubkey]) -> Simulated:
        text = base64.b64encode(unsigned(message)).decode()
        options = {
            "encoding": "base64",
            "commitment": COMMITMENT,
            "sigVerify": False,
            "accounts": {"encoding": "base64", "addresses": [str(address) for address in watched]},
        }
        answer: At[Simulated] = await self._nodes.read(At[Simulated], "simulateTransaction", text, options)
        return answer.value


def limit_of(used: int) -> int:
    """The compute limit of a swap whose simulation used so many units: never more than it was simulated and paid for with."""
    return min(SIMULATED_UNITS, -(-used * MARGIN_PERCENT // 100))


def affordable(max_fee_lamports: int) -> int:
    """The price a compute unit that stays below the cap at the limit of the simulation. Raises `UnsafeTransaction`."""
    left = max_fee_lamports - SIGNATURE_LAMPORTS
    if left < 0:
        raise UnsafeTransaction(f"a signature costs {SIGNATURE_LAMPORTS} lamports, allowed are {max_fee_lamports}")
    return left * 1_000_000 // SIMULATED_UNITS


def _failed(simulated: Simulated, programs: Sequence[Pubkey]) -> SimulationFailed | InsufficientFunds:
    found = failure(simulated.err, simulated.logs, programs)
    if found.code == INSUFFICIENT_FUNDS:
        poor = InsufficientFunds(f"the wallet holds too little: {found.message}")
        poor.logs = found.logs
        return poor
    error = SimulationFailed(f"it would fail now: {found.message}")
    error.code, error.logs = found.code or error.code, found.logs
    return error


async def _signed(message: MessageV0, blockhash: Blockhash, wallet: Pubkey, signer: Signer, bid: Bid) -> Built:
    body = to_bytes_versioned(message)
    try:
        signature = Signature.from_bytes(await signer.sign(body))
    except (SigningFailed, ValueError, TimeoutError) as error:
        raise VenueUnavailable(f"the transaction cannot be signed: {error}") from error
    if not signature.verify(wallet, body):
        raise VenueUnavailable("the signer's signature is not one of its wallet")
    payload = bytes(VersionedTransaction.populate(message, [signature]))
    return Built(str(signature), payload, blockhash.last_valid_height, blockhash.valid_until, bid)
