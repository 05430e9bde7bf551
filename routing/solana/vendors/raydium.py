"""Raydium's trade API: a quote by `compute/swap-base-in`, a transaction for it by `transaction/swap-base-in`; for an exact output
both by `swap-base-out`.
"""

import base64
from collections.abc import Collection
from datetime import UTC, datetime
from typing import NoReturn

import msgspec
from solders.instruction import AccountMeta, Instruction
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from routing.http import NoAnswer
from routing.solana.accounts import Accounts
from routing.solana.addresses import pubkey
from routing.solana.nodes import NO_ANSWER
from routing.solana.safety import only
from routing.solana.tables import read_tables
from routing.solana.transaction import Tables
from routing.solana.vendors.api import Api, decoded, units
from routing.solana.vendors.vendor import QUOTED_BPS, Offer, Proposal, Wanted, share
from routing.venue import (
    AmountTooSmall,
    InsufficientLiquidity,
    NoRoute,
    UnsafeTransaction,
    VenueError,
    VenueUnavailable,
)

POOL_AGE_S = 600.0
"""A pool's program does not change."""
REFUSALS: dict[str, type[VenueError]] = {
    "ROUTE_NOT_FOUND": NoRoute,
    "REQ_INPUT_MINT_ERROR": NoRoute,
    "REQ_OUTPUT_MINT_ERROR": NoRoute,
    "AMOUNT_TOO_SMALL": AmountTooSmall,
    "INSUFFICIENT_LIQUIDITY": InsufficientLiquidity,
}


class _Step(msgspec.Struct, rename="camel"):
    pool_id: str
    fee_rate: float = 0.0
    """In bps."""


class _Data(msgspec.Struct, rename="camel"):
    input_mint: str
    input_amount: str | int
    output_mint: str
    output_amount: str | int
    route_plan: list[_Step]
    price_impact_pct: float | str | None = None
    """A number, in percent."""


class _Answer(msgspec.Struct, rename="camel"):
    success: bool
    data: msgspec.Raw = msgspec.Raw(b"null")
    msg: str = ""
    open_time: str | int | None = None


class _Built(msgspec.Struct):
    transaction: str


class Raydium:
    """`programs`: of the pools whose swaps can be read."""

    def __init__(self, api: Api, accounts: Accounts, programs: Collection[Pubkey]) -> None:
        self._api, self._accounts, self._programs = api, accounts, programs

    async def offer(self, wanted: Wanted, *, wait_s: float) -> Offer:
        """See `Vendor`."""
        sold, bought = wanted.pair.token_in.mint, wanted.pair.token_out.mint
        query = {"inputMint": sold, "outputMint": bought, "amount": str(wanted.amount)}
        query |= {"slippageBps": str(QUOTED_BPS), "txVersion": "V0"}
        answer = await self._api.ask(f"/compute/{_way(wanted)}", query=query, wait_s=wait_s)
        said = decoded(answer.body, _Answer)
        if not said.success:
            _refused(said)
        data = decoded(said.data, _Data)
        takes, pays = units(data.input_amount), units(data.output_amount)
        as_asked = pays >= wanted.amount if wanted.exact_out else takes == wanted.amount
        if (data.input_mint, data.output_mint) != (sold, bought) or not as_asked:
            raise VenueError("the venue quotes something else than was asked for")
        await self._readable(data)
        return Offer(
            pays=wanted.amount if wanted.exact_out else pays,
            takes=takes if wanted.exact_out else None,
            impact=share(data.price_impact_pct, 100),
            fee_bps=max(0, min(10_000, round(data.route_plan[0].fee_rate))),
            seen_at=datetime.now(UTC),
            answer=answer.body,
            pools=[step.pool_id for step in data.route_plan],
        )

    async def propose(self, wanted: Wanted, offer: Offer, *, wait_s: float) -> Proposal:
        """See `Vendor`. The quote goes back to the letter."""
        body = {
            "computeUnitPriceMicroLamports": "1",
            "swapResponse": msgspec.Raw(offer.answer),
            "txVersion": "V0",
            "wallet": str(wanted.taker),
            "wrapSol": False,
            "unwrapSol": False,
        }
        answer = await self._api.ask(f"/transaction/{_way(wanted)}", body=msgspec.json.encode(body), wait_s=wait_s)
        said = decoded(answer.body, _Answer)
        if not said.success:
            _refused(said)
        built: list[_Built] | _Built = decoded(said.data, list[_Built] | _Built)  # type: ignore[arg-type]
        listed = built if isinstance(built, list) else [built]
        message = _message(only([each.transaction.encode() for each in listed]))
        named = [each.account_key for each in getattr(message, "address_table_lookups", ())]
        try:
            tables = await read_tables(self._accounts, named)
        except NO_ANSWER as error:
            raise VenueUnavailable(str(error)) from error
        return Proposal(_swap_of(message, tables, self._programs), named)

    async def _readable(self, data: _Data) -> None:
        """Raises `NoRoute` for pools whose swap would not be signed: that is known before anybody counts on the quote."""
        if len(data.route_plan) != 1:
            raise NoRoute("the venue's route takes several pools, which is not read here")
        try:
            pool = pubkey(data.route_plan[0].pool_id)
            account = (await self._accounts.get([pool], max_age_s=POOL_AGE_S))[pool]
        except NoAnswer as error:
            raise VenueUnavailable(str(error)) from error
        except (*NO_ANSWER, ValueError):
            account = None
        if account is None or account.owner not in self._programs:
            raise NoRoute("the venue's pool is of a program that is not read here")


def _way(wanted: Wanted) -> str:
    return "swap-base-out" if wanted.exact_out else "swap-base-in"


def _refused(said: _Answer) -> NoReturn:
    if said.open_time:
        raise NoRoute("the venue's pool is not open yet")
    raise REFUSALS.get(said.msg, VenueError)(f"the venue refuses: {said.msg[:60] or 'it does not say why'}")


def _message(text: bytes) -> Message | MessageV0:
    try:
        message = VersionedTransaction.from_bytes(base64.b64decode(text, validate=True)).message
    except Exception as error:  # solders raises types of its own, by what is wrong.
        raise VenueError(f"the venue's transaction cannot be read: {type(error).__name__}") from None
    if not isinstance(message, Message | MessageV0):
        raise VenueError("the venue's transaction is of a version that is not known here")
    return message


def _swap_of(message: Message | MessageV0, tables: Tables, programs: Collection[Pubkey]) -> Instruction:
    """The one instruction for a program of a pool. Raises `UnsafeTransaction`."""
    keys, header, static = list(message.account_keys), message.header, len(message.account_keys)
    signing, read_only = header.num_required_signatures, header.num_readonly_unsigned_accounts
    writable = [
        n < signing - header.num_readonly_signed_accounts or signing <= n < static - read_only for n in range(static)
    ]
    found = list[Instruction]()
    try:
        for written in (True, False):
            for lookup in getattr(message, "address_table_lookups", ()):
                places = lookup.writable_indexes if written else lookup.readonly_indexes
                keys += [tables[lookup.account_key][n] for n in places]
                writable += [written] * len(places)
        for each in message.instructions:
            if keys[each.program_id_index] in programs:
                metas = [AccountMeta(keys[n], n < signing, writable[n]) for n in each.accounts]
                found.append(Instruction(keys[each.program_id_index], bytes(each.data), metas))
    except (KeyError, IndexError):
        raise UnsafeTransaction("it names an account that is not known") from None
    if len(found) != 1:
        raise UnsafeTransaction(f"it swaps {len(found)} times")
    return found[0]
