"""See `routing.balances`."""

import asyncio
import base64
import struct
from collections import Counter
from collections.abc import Sequence

import msgspec
from solders.pubkey import Pubkey

from routing.balances import Holding
from routing.solana.addresses import TOKEN, TOKEN_2022, WRAPPED_SOL, associated_account, pubkey
from routing.solana.nodes import NO_ANSWER, At, Nodes
from routing.solana.pools import AMOUNT_AT
from routing.values import Program, Token
from routing.venue import VenueUnavailable

FINAL, NEWEST = "finalized", "confirmed"
PROGRAMS = {Program.TOKEN: TOKEN, Program.TOKEN_2022: TOKEN_2022}
TRIES, AGAIN_S = 8, 0.25
"""A node that is behind the wanted slot is asked again: two seconds are several slots on every cluster."""


class _Account(msgspec.Struct):
    data: tuple[str, str]
    lamports: int


class _Amount(msgspec.Struct):
    amount: str
    decimals: int


class _Info(msgspec.Struct, rename="camel"):
    mint: str
    token_amount: _Amount


class _Parsed(msgspec.Struct):
    info: _Info


class _Data(msgspec.Struct):
    parsed: _Parsed


class _Holder(msgspec.Struct):
    data: _Data


class _Keyed(msgspec.Struct):
    account: _Holder


class SolanaBalances:
    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes

    async def spendable(self, wallet: str, token: Token, *, at_least: int = 0) -> Holding:
        """See `Balances`."""
        owner = pubkey(wallet)
        accounts = [
            associated_account(owner, WRAPPED_SOL, TOKEN),
            associated_account(owner, pubkey(token.mint), PROGRAMS[token.program]),
        ]
        for _ in range(TRIES):
            found = await self._look([owner, *accounts])
            if found.context.slot >= at_least:
                own, wrapped, held = found.value
                tokens = {str(WRAPPED_SOL): _units(wrapped), token.mint: _units(held)}
                return Holding(found.context.slot, 0 if own is None else own.lamports, tokens)
            await asyncio.sleep(AGAIN_S)
        raise VenueUnavailable(f"no node has reached slot {at_least}")

    async def all(self, wallets: Sequence[str]) -> list[Holding]:
        """See `Balances`."""
        return list(await asyncio.gather(*(self._all(wallet) for wallet in wallets)))

    async def _all(self, wallet: str) -> Holding:
        options = {"encoding": "jsonParsed", "commitment": NEWEST}
        try:
            own, *held = await asyncio.gather(
                self._nodes.read(At[int], "getBalance", wallet, {"commitment": NEWEST}),
                *(
                    self._nodes.read(
                        At[list[_Keyed]], "getTokenAccountsByOwner", wallet, {"programId": str(program)}, options
                    )
                    for program in PROGRAMS.values()
                ),
            )
        except NO_ANSWER as error:
            raise VenueUnavailable(f"the balances of {wallet} are not known: {error}") from error
        units: Counter[str] = Counter()
        decimals = {}
        for info in (each.account.data.parsed.info for part in held for each in part.value):
            units[info.mint] += int(info.token_amount.amount)
            decimals[info.mint] = info.token_amount.decimals
        return Holding(own.context.slot, own.value, dict(units), decimals)

    async def _look(self, addresses: Sequence[Pubkey]) -> "At[list[_Account | None]]":
        options = {"encoding": "base64", "commitment": FINAL}
        try:
            answer: At[list[_Account | None]] = await self._nodes.read(
                At[list[_Account | None]], "getMultipleAccounts", [str(address) for address in addresses], options
            )
            return answer
        except NO_ANSWER as error:
            raise VenueUnavailable(f"balances are not known: {error}") from error


def _units(account: _Account | None) -> int:
    """Of a token account; 0 where there is none."""
    data = b"" if account is None else base64.b64decode(account.data[0])
    return int(struct.unpack_from("<Q", data, AMOUNT_AT)[0]) if len(data) >= AMOUNT_AT + 8 else 0
