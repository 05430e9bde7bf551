"""Jupiter's `GET /swap/v2/build`: quotes, and answers the instructions of a swap. The way to Meteora's pools, too."""

import base64
import binascii
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from routing.solana.addresses import pubkey
from routing.solana.http import Answer
from routing.solana.programs import SwapProgram, UnknownLayout, program_of
from routing.solana.vendors.api import Api, decoded, units
from routing.solana.vendors.vendor import QUOTED_BPS, Offer, Proposal, Wanted, share
from routing.venue import (
    AmountTooSmall,
    ExactOutUnsupported,
    InsufficientLiquidity,
    NoRoute,
    UnsafeTransaction,
    VenueError,
)

METEORA_DEXES = "Meteora DLMM,Meteora DAMM v2"
MAX_ACCOUNTS = 40
"""Of a route: with the wallet's own instructions it has to fit a transaction."""
MAX_TABLES = 16
REFUSALS: dict[str, type[VenueError]] = {
    "NO_ROUTES_FOUND": NoRoute,
    "COULD_NOT_FIND_ANY_ROUTE": NoRoute,
    "TOKEN_NOT_TRADABLE": NoRoute,
    "MARKET_NOT_FOUND": NoRoute,
    "CIRCULAR_ARBITRAGE_IS_DISABLED": NoRoute,
    "ROUTE_PLAN_DOES_NOT_CONSUME_ALL_THE_AMOUNT": InsufficientLiquidity,
    "CANNOT_COMPUTE_OTHER_AMOUNT_THRESHOLD": AmountTooSmall,
}


class _Account(msgspec.Struct, rename="camel"):
    pubkey: str
    is_signer: bool = False
    is_writable: bool = False


class _Instruction(msgspec.Struct, rename="camel"):
    program_id: str
    accounts: list[_Account]
    data: str


class _SwapInfo(msgspec.Struct, rename="camel"):
    amm_key: str = ""


class _Step(msgspec.Struct, rename="camel"):
    swap_info: _SwapInfo | None = None


class _Built(msgspec.Struct, rename="camel"):
    input_mint: str
    in_amount: str | int
    output_mint: str
    out_amount: str | int
    swap_instruction: _Instruction
    price_impact_pct: str | float | None = None
    """A text, as a part of 1."""
    addresses_by_lookup_table_address: dict[str, Any] | None = None
    swap_mode: str = "ExactIn"
    route_plan: list[_Step] | None = None

    @property
    def pools(self) -> list[str]:
        """Of every step, or none at all where one does not say."""
        said = [step.swap_info.amm_key if step.swap_info else "" for step in self.route_plan or ()]
        return said if all(said) else []


class _Refused(msgspec.Struct, rename="camel"):
    error: Any = ""
    error_code: Any = ""


class Jupiter:
    """`dexes`: whose pools it may take, by Jupiter's labels; empty: any. `programs`: those whose swaps can be read."""

    def __init__(self, api: Api, programs: Mapping[Pubkey, SwapProgram], *, dexes: str = "") -> None:
        self._api, self._programs, self._dexes = api, programs, dexes

    async def offer(self, wanted: Wanted, *, wait_s: float) -> Offer:
        """See `Vendor`."""
        if wanted.exact_out:
            raise ExactOutUnsupported
        sold, bought = wanted.pair.token_in.mint, wanted.pair.token_out.mint
        query = {"inputMint": sold, "outputMint": bought, "amount": str(wanted.amount), "taker": str(wanted.taker)}
        query |= {"slippageBps": str(QUOTED_BPS), "maxAccounts": str(MAX_ACCOUNTS)}
        if self._dexes:
            query["dexes"] = self._dexes
        answer = await self._api.ask("/swap/v2/build", query=query, wait_s=wait_s)
        if answer.status != 200:
            raise _refusal(answer)
        built = decoded(answer.body, _Built)
        asked = (sold, bought, wanted.amount, "ExactIn")
        if (built.input_mint, built.output_mint, units(built.in_amount), built.swap_mode) != asked:
            raise VenueError("the venue quotes something else than was asked for")
        proposal = _proposal(built)
        self._readable(proposal.swap)
        # What the pools keep is in what is paid; Jupiter does not tell it apart.
        impact = share(built.price_impact_pct)
        return Offer(units(built.out_amount), impact, 0, datetime.now(UTC), (wanted.taker, proposal), built.pools)

    async def propose(self, wanted: Wanted, offer: Offer, *, wait_s: float) -> Proposal:
        """See `Vendor`. A quote for somebody else is asked for again: its accounts are not the wallet's."""
        taker, proposal = offer.answer
        if taker != wanted.taker:
            taker, proposal = (await self.offer(wanted, wait_s=wait_s)).answer
        found: Proposal = proposal
        return found

    def _readable(self, swap: Instruction) -> None:
        """Raises `NoRoute` for a swap that would not be signed: that is known before anybody counts on the quote."""
        try:
            program_of(self._programs, swap)
        except UnknownLayout as error:
            raise NoRoute(f"the venue's swap: {error}") from None


def _proposal(built: _Built) -> Proposal:
    """Only the swap. Tips, clean-ups and whatever else is proposed are no part of it."""
    said, tables = built.swap_instruction, built.addresses_by_lookup_table_address or {}
    if len(tables) > MAX_TABLES or len(said.accounts) > 256:
        raise UnsafeTransaction("the venue's swap names more accounts than a transaction takes")
    try:
        metas = [AccountMeta(pubkey(each.pubkey), each.is_signer, each.is_writable) for each in said.accounts]
        data = base64.b64decode(said.data, validate=True)
        return Proposal(Instruction(pubkey(said.program_id), data, metas), [pubkey(each) for each in tables])
    except (ValueError, binascii.Error):
        raise VenueError("the venue's swap cannot be read") from None


def _refusal(answer: Answer) -> VenueError:
    said = decoded(answer.body, _Refused)
    code, text = str(said.error_code)[:60], str(said.error)[:60]
    kind = REFUSALS.get(code) or (NoRoute if text.lower().startswith("no routes found") else VenueError)
    return kind(f"the venue refuses: {code or text or 'it does not say why'}")
