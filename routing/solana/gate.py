"""What a transaction would change, by its simulation, held against what its order asks. Pure.

The instructions say what a transaction asks for; only a simulation shows what the called programs make of it.
"""

import base64
from collections import Counter
from typing import Any

import msgspec
from solders.pubkey import Pubkey

from routing.solana.addresses import SYSTEM, WRAPPED_SOL
from routing.solana.safety import Asked, Inspected
from routing.venue import SimulationFailed, UnsafeTransaction

DELEGATE_AT, CLOSER_AT = 72, 129
"""Where a token account says whether somebody else may spend from it, or close it: four bytes, then the address."""
TOKEN_ACCOUNT_BYTES = 165
MAX_RENT_LAMPORTS = 10_000_000
"""Of one account that is made: several times the rent of one with all extensions."""


class Amount(msgspec.Struct):
    amount: str
    decimals: int


class TokenBalance(msgspec.Struct, rename="camel"):
    account_index: int
    mint: str
    ui_token_amount: Amount
    owner: str | None = None


class Shown(msgspec.Struct):
    """An account as it would be."""

    data: tuple[str, str]
    owner: str


class Simulated(msgspec.Struct, rename="camel"):
    """The value of `simulateTransaction`."""

    err: Any = None
    logs: list[str] | None = None
    units_consumed: int | None = None
    accounts: list[Shown | None] | None = None
    pre_balances: list[int] | None = None
    post_balances: list[int] | None = None
    pre_token_balances: list[TokenBalance] | None = None
    post_token_balances: list[TokenBalance] | None = None


def own_tokens(balances: list[TokenBalance], wallet: str) -> dict[int, tuple[str, int]]:
    """Of the wallet's token accounts: place → (mint, base units)."""
    return {
        each.account_index: (each.mint, int(each.ui_token_amount.amount)) for each in balances if each.owner == wallet
    }


def rents(before: dict[int, tuple[str, int]], after: dict[int, tuple[str, int]], post: list[int]) -> dict[int, int]:
    """Of the token accounts that the transaction makes: place → lamports of rent that lie in it afterwards."""
    wrapped = str(WRAPPED_SOL)
    return {
        place: post[place] - (amount if mint == wrapped else 0)
        for place, (mint, amount) in after.items()
        if place not in before
    }


def moved(
    before: dict[int, tuple[str, int]], after: dict[int, tuple[str, int]], pre: list[int], post: list[int]
) -> Counter[str]:
    """Base units by mint that the transaction brings the wallet, or takes.

    Anybody may send lamports to the address of an account of wrapped SOL that is not made yet; what is over its rent
    is tokens once it is made, and no part of what was traded.
    """
    change: Counter[str] = Counter()
    for sign, side in ((-1, before), (1, after)):
        for mint, amount in side.values():
            change[mint] += sign * amount
    for place, rent in rents(before, after, post).items():
        if after[place][0] == str(WRAPPED_SOL):
            change[str(WRAPPED_SOL)] -= max(0, pre[place] - rent)
    return change


def judge(simulated: Simulated, asked: Asked, inspected: Inspected, keys: list[Pubkey], watched: list[Pubkey]) -> int:
    """The compute units it used. Raises `UnsafeTransaction` where it does more than was asked.

    `keys`: the message's accounts in order; `watched`: those whose state after it was asked for: wallet, source, destination.
    """
    sides = simulated.pre_balances, simulated.post_balances
    tokens = simulated.pre_token_balances, simulated.post_token_balances
    if None in sides or None in tokens or simulated.accounts is None or simulated.units_consumed is None:
        raise SimulationFailed("the node does not tell balances before and after")
    wallet = str(asked.wallet)
    before, after = (own_tokens(side or [], wallet) for side in tokens)
    _keeps_its_accounts(before, after, inspected, keys)
    pre, post = simulated.pre_balances or [], simulated.post_balances or []
    change = moved(before, after, pre, post)
    # What is wrapped comes in on one side and is sold on the other.
    spent = inspected.wrapped - change.pop(str(asked.sold), 0)
    received = change.pop(str(asked.bought), 0)
    if spent > asked.amount:
        raise UnsafeTransaction(f"it would take {spent} base units, {asked.amount} are sold")
    if received < asked.least:
        raise UnsafeTransaction(f"it would give {received} base units, {asked.least} are the least")
    if lost := [mint for mint, amount in change.items() if amount < 0]:
        raise UnsafeTransaction(f"it would take {', '.join(lost)} as well")
    # Only what the transaction itself says it makes may cost rent. What a stranger sent to the address is not paid again.
    rent = sum(
        max(0, min(MAX_RENT_LAMPORTS, held) - pre[place])
        for place, held in rents(before, after, post).items()
        if keys[place] in inspected.created
    )
    cost, allowed = pre[0] - post[0], inspected.fee_lamports + inspected.wrapped + rent
    if cost > allowed:
        raise UnsafeTransaction(f"it would cost {cost} lamports, {allowed} are accounted for")
    _hands_nothing_over(simulated.accounts, asked, watched)
    return simulated.units_consumed


def _keeps_its_accounts(
    before: dict[int, tuple[str, int]], after: dict[int, tuple[str, int]], inspected: Inspected, keys: list[Pubkey]
) -> None:
    """No token account of the wallet is closed or gets another owner, and only the swap's two are touched."""
    if before.keys() - after.keys():
        raise UnsafeTransaction("it would close an account of the wallet, or give it away")
    own = {inspected.swap.source, inspected.swap.destination}
    if any(keys[place] not in own and before.get(place) != held for place, held in after.items()):
        raise UnsafeTransaction("it would change an account of the wallet that the swap does not need")


def _hands_nothing_over(accounts: list[Shown | None], asked: Asked, watched: list[Pubkey]) -> None:
    """Afterwards nobody else may spend from, close or own what is the wallet's."""
    if len(accounts) != len(watched) or any(account is None for account in accounts):
        raise SimulationFailed("the node does not tell the accounts after it")
    own, *held = (account for account in accounts if account is not None)
    if own.owner != str(SYSTEM) or own.data[0]:
        raise UnsafeTransaction("it would give the wallet's account to a program")
    for account in held:
        _is_free(account, asked.wallet)


def _is_free(account: Shown, wallet: Pubkey) -> None:
    data = base64.b64decode(account.data[0])
    if len(data) < TOKEN_ACCOUNT_BYTES or data[32:64] != bytes(wallet):
        raise UnsafeTransaction("it would give an account of the wallet away")
    if any(data[DELEGATE_AT : DELEGATE_AT + 4]) or any(data[CLOSER_AT : CLOSER_AT + 4]):
        raise UnsafeTransaction("somebody else could spend from an account of the wallet, or close it")
