"""A venue that is not what it says: whatever it puts into a transaction beside the swap as asked is refused before signing."""

import struct
from dataclasses import replace

import msgspec
import pytest
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer

from routing.solana import gate, safety
from routing.solana.addresses import (
    ASSOCIATED,
    COMPUTE_BUDGET,
    SYSTEM,
    TOKEN,
    TOKEN_2022,
    WRAPPED_SOL,
    associated_account,
)
from routing.solana.builder import affordable
from routing.solana.programs import KNOWN, METEORA_DAMM
from routing.solana.transaction import all_keys, compute_limit, compute_price, create_account, memo, stamped, wrap
from routing.venue import SimulationFailed, UnsafeTransaction
from tests.solana import messages as good
from tests.solana.messages import ASKED, DESTINATION, SOURCE, THIEF, USDC, WALLET, message, parts, simulated, swap


def inspect(built: MessageV0, asked: safety.Asked = ASKED, tables: dict[Pubkey, list[Pubkey]] | None = None) -> None:
    safety.inspect(built, asked, KNOWN, tables or {})


def test_what_was_asked_passes() -> None:
    found = safety.inspect(message(), ASKED, KNOWN, {})
    assert (found.swap.amount, found.swap.least, found.created) == (10**9, 149_000_000, {DESTINATION})
    assert found.fee_lamports == 5_400
    wrapped = [*parts()[:3], *wrap(WALLET, 10**8), *parts()[3:]]
    assert safety.inspect(message(instead=wrapped), ASKED, KNOWN, {}).wrapped == 10**8


def instruction(program: Pubkey, data: bytes, *accounts: Pubkey) -> Instruction:
    return Instruction(program, data, [AccountMeta(key, key == WALLET, True) for key in accounts])


U64 = struct.Struct("<Q").pack
STOLEN = associated_account(THIEF, USDC, TOKEN)
BESIDE = {
    "a transfer of SOL": transfer(TransferParams(from_pubkey=WALLET, to_pubkey=THIEF, lamports=1)),
    "a transfer of tokens": instruction(TOKEN, b"\x03" + U64(1), DESTINATION, STOLEN, WALLET),
    "a checked transfer": instruction(TOKEN_2022, b"\x0c" + U64(1) + b"\x06", DESTINATION, USDC, STOLEN, WALLET),
    "an approval": instruction(TOKEN, b"\x04" + U64(2**63), SOURCE, THIEF, WALLET),
    "a change of authority": instruction(TOKEN, b"\x06\x02\x01" + bytes(THIEF), SOURCE, WALLET),
    "a closed account": instruction(TOKEN, b"\x09", SOURCE, THIEF, WALLET),
    "burned tokens": instruction(TOKEN, b"\x08" + U64(1), SOURCE, WRAPPED_SOL, WALLET),
    "the wallet given to a program": instruction(SYSTEM, b"\x01\0\0\0" + bytes(THIEF), WALLET),
    "an account for somebody else": create_account(THIEF, USDC, TOKEN),
    "an account that the wallet pays for somebody": Instruction(
        ASSOCIATED,
        b"\x01",
        [AccountMeta(key, key == WALLET, True) for key in (WALLET, STOLEN, THIEF, USDC, SYSTEM, TOKEN)],
    ),
    "a program nobody knows": instruction(Pubkey.new_unique(), b"", WALLET),
    "a second swap": swap(),
    "a second memo": memo("order-1/2"),
    "a second price": compute_price(1),
    "a heap": Instruction(COMPUTE_BUDGET, b"\x01" + (262_144).to_bytes(4, "little"), []),
}


@pytest.mark.parametrize("beside", BESIDE)
def test_what_is_added_is_refused(beside: str) -> None:
    with pytest.raises(UnsafeTransaction):
        inspect(message(BESIDE[beside]))


INSTEAD = {
    "a larger amount": parts(amount=10**9 + 1),
    "a lower least amount": parts(least=148_999_999),
    "no least amount": parts(least=0),
    "an exact output": parts(exact_out=True),
    "paid to somebody else": parts(destination=STOLEN),
    "sold from somewhere else": parts(source=associated_account(WALLET, USDC, TOKEN)),
    "another payer": [*parts()[:3], swap(payer=THIEF), parts()[4]],
    "other tokens": parts(sides=(replace(good.READ.sides[0], mint=Pubkey.new_unique()), good.READ.sides[1])),
    "no swap": [*parts()[:3], parts()[4]],
    "no memo": parts()[:4],
    "another order's memo": [*parts()[:4], memo("order-2/1")],
    "an extreme fee": [compute_limit(1_400_000), compute_price(10**9), *parts()[2:]],
    "no limit": parts()[1:],
    "a method nobody knows": [*parts()[:3], Instruction(swap().program_id, b"\0" * 24, swap().accounts), parts()[4]],
    "one account more": [
        *parts()[:3],
        Instruction(swap().program_id, swap().data, [*swap().accounts, AccountMeta(THIEF, False, True)]),
        parts()[4],
    ],
    "too many bytes": [*parts()[:4], memo("m" * 1_000)],
    "two swaps of a half": [*parts()[:3], *(swap(amount=5 * 10**8, least=74_500_000) for _ in range(2)), parts()[4]],
}


@pytest.mark.parametrize("instead", INSTEAD)
def test_what_is_other_than_asked_is_refused(instead: str) -> None:
    asked = replace(ASKED, memo="m" * 1_000) if instead == "too many bytes" else ASKED
    with pytest.raises(UnsafeTransaction):
        inspect(message(instead=INSTEAD[instead]), asked)


def test_for_an_exact_output_the_same_bounds_hold_the_other_way_round() -> None:
    asked = replace(ASKED, exact_out=True)
    inspect(message(instead=parts(exact_out=True)), asked)
    for wrong in (parts(), parts(exact_out=True, amount=10**9 + 1), parts(exact_out=True, least=148_999_999)):
        with pytest.raises(UnsafeTransaction):
            inspect(message(instead=wrong), asked)


SECOND = Pubkey.new_unique()
SPLIT = replace(ASKED, pools=(good.POOL, SECOND))
"""Asked of a split over two pools."""
HALF = {"amount": 5 * 10**8, "least": 74_500_000}


def split(first: dict[str, object], second: dict[str, object]) -> MessageV0:
    """Half of it in Raydium's pool, half in Meteora's."""
    damm = METEORA_DAMM.swap(replace(good.READ, **{"config": None, "pool": SECOND} | HALF | second))  # type: ignore[arg-type]
    return message(instead=[*parts()[:3], swap(**HALF | first), damm, parts()[4]])


def test_a_split_is_one_swap_in_each_pool_that_was_asked() -> None:
    inspect(split({}, {}), SPLIT)
    inspect(split({"least": 100_000_000}, {"least": 49_000_000}), SPLIT)


FOREIGN = {
    "too little in sum": ({}, {"least": 74_499_999}),
    "nothing accepted at one": ({"least": 149_000_000}, {"least": 0}),
    "too much in sum": ({"amount": 5 * 10**8 + 1}, {}),
    "a foreign pool": ({}, {"pool": Pubkey.new_unique()}),
    "one pool twice": ({}, {"pool": good.POOL}),
    "paid to somebody else": ({}, {"destination": STOLEN}),
    "sold from somewhere else": ({}, {"source": associated_account(WALLET, USDC, TOKEN)}),
    "another payer": ({}, {"payer": THIEF}),
    "an exact output": ({}, {"exact_out": True}),
    "the other way": ({}, {"source": DESTINATION, "destination": SOURCE}),
}


@pytest.mark.parametrize("foreign", FOREIGN)
def test_a_part_of_a_split_that_is_other_than_asked_is_refused(foreign: str) -> None:
    with pytest.raises(UnsafeTransaction):
        inspect(split(*FOREIGN[foreign]), SPLIT)  # type: ignore[arg-type]


def test_a_split_is_all_of_its_parts_and_no_more() -> None:
    for wrong in (message(), message(swap(**HALF), instead=list(SPLIT_PARTS))):
        with pytest.raises(UnsafeTransaction, match="times"):
            inspect(wrong, SPLIT)
    with pytest.raises(UnsafeTransaction, match="2 times"):
        inspect(split({}, {}), ASKED)


SPLIT_PARTS = [*parts()[:3], swap(**HALF), swap(**HALF), parts()[4]]


def test_a_swap_the_other_way_is_refused() -> None:
    with pytest.raises(UnsafeTransaction, match="other tokens"):
        inspect(message(), replace(ASKED, sold=USDC, bought=WRAPPED_SOL))


def test_a_foreign_signer_is_refused() -> None:
    with pytest.raises(UnsafeTransaction, match="pays or signs"):
        inspect(MessageV0.try_compile(THIEF, parts(), [], good.BLOCKHASH))
    second = Instruction(TOKEN, b"\x11", [AccountMeta(THIEF, True, False)])
    with pytest.raises(UnsafeTransaction, match="pays or signs"):
        inspect(message(second))


def test_several_transactions_are_refused() -> None:
    assert safety.only([b"one"]) == b"one"
    for several in ([], [b"one", b"two"]):
        with pytest.raises(UnsafeTransaction):
            safety.only(several)


def test_sol_is_wrapped_only_where_it_is_sold_and_only_into_the_wallet_s_own_account() -> None:
    away = transfer(TransferParams(from_pubkey=WALLET, to_pubkey=STOLEN, lamports=5))
    for more in ([away], wrap(WALLET, 10**9 + 1)):
        with pytest.raises(UnsafeTransaction):
            inspect(message(*more))
    with pytest.raises(UnsafeTransaction):
        inspect(message(*wrap(WALLET, 5)), replace(ASKED, sold=USDC, bought=WRAPPED_SOL))


def test_a_referral_takes_no_share() -> None:
    swapped = METEORA_DAMM.swap(replace(good.READ, config=None))
    accounts = list(swapped.accounts)
    accounts[11] = AccountMeta(STOLEN, False, True)
    inspect(message(instead=[*parts()[:3], swapped, parts()[4]]))
    with pytest.raises(UnsafeTransaction):
        inspect(message(instead=[*parts()[:3], Instruction(swapped.program_id, swapped.data, accounts), parts()[4]]))


def test_a_cap_below_a_signature_is_refused_and_bids_stay_below_it() -> None:
    with pytest.raises(UnsafeTransaction):
        affordable(4_999)
    for cap in (5_000, 5_001, 10_000, 1_234_567):
        assert safety.fee_lamports(good.UNITS, affordable(cap)) <= cap


# --- What the called programs make of it ------------------------------------------------------------------------------
BUILT = message()
KEYS = all_keys(BUILT, {})
INSPECTED = safety.inspect(BUILT, ASKED, KNOWN, {})
WATCHED = [WALLET, SOURCE, DESTINATION]
SOURCE_AT, DESTINATION_AT = KEYS.index(SOURCE), KEYS.index(DESTINATION)
OTHER_AT = next(place for place in range(1, len(KEYS)) if place not in (SOURCE_AT, DESTINATION_AT))


def judge(found: gate.Simulated) -> int:
    return gate.judge(found, ASKED, INSPECTED, KEYS, WATCHED)


def test_a_simulation_that_does_what_was_asked_passes() -> None:
    assert judge(simulated(KEYS)) == 30_000


def with_tokens(source: int = 3 * 10**9, destination: int = 149_500_000) -> list[gate.TokenBalance]:
    return [good.token(SOURCE_AT, WRAPPED_SOL, source), good.token(DESTINATION_AT, USDC, destination)]


def shown(place: int, data: tuple[str, str], owner: Pubkey = TOKEN) -> list[gate.Shown | None]:
    accounts = list(simulated(KEYS).accounts or [])
    accounts[place] = gate.Shown(data, str(owner))
    return accounts


OTHER = good.token(OTHER_AT, Pubkey.new_unique(), 7)
EFFECTS = {
    "more is taken": {"post_token_balances": with_tokens(source=3 * 10**9 - 1)},
    # A token that takes a fee on transfers: what leaves the pool is not what arrives.
    "less arrives than leaves": {"post_token_balances": with_tokens(destination=148_999_999)},
    "another token leaves": {
        "pre_token_balances": [*(simulated(KEYS).pre_token_balances or []), OTHER],
        "post_token_balances": [
            *with_tokens(),
            msgspec.structs.replace(OTHER, ui_token_amount=gate.Amount("6", 6)),
        ],
    },
    "an account gets another owner": {
        "post_token_balances": [good.token(SOURCE_AT, WRAPPED_SOL, 3 * 10**9, THIEF), with_tokens()[1]]
    },
    "an account is closed": {"post_token_balances": with_tokens()[1:]},
    # Its rent goes to somebody.
    "an empty account is closed": {
        "pre_token_balances": [
            *(simulated(KEYS).pre_token_balances or []),
            good.token(OTHER_AT, Pubkey.new_unique(), 0),
        ]
    },
    "SOL leaves": {
        "post_balances": [(simulated(KEYS).post_balances or [])[0] - 1, *(simulated(KEYS).post_balances or [])[1:]]
    },
    "somebody may spend": {"accounts": shown(1, good.token_data(delegate=True))},
    "somebody may close": {"accounts": shown(2, good.token_data(closer=True))},
    "somebody owns what is paid into": {"accounts": shown(2, good.token_data(THIEF))},
    "a program owns the wallet": {"accounts": shown(0, ("", "base64"), THIEF)},
}


@pytest.mark.parametrize("effect", EFFECTS)
def test_an_effect_that_nobody_asked_for_is_refused(effect: str) -> None:
    with pytest.raises(UnsafeTransaction):
        judge(simulated(KEYS, **EFFECTS[effect]))


@pytest.mark.parametrize("hidden", ["pre_balances", "post_token_balances", "accounts", "units_consumed"])
def test_a_node_that_hides_an_effect_is_not_trusted(hidden: str) -> None:
    with pytest.raises(SimulationFailed):
        judge(simulated(KEYS, **{hidden: None}))


# --- A venue's own message -----------------------------------------------------------------------------------------------
def test_a_message_with_look_up_tables_is_stamped_without_a_shift() -> None:
    """Each key that is added moves the numbers of all accounts that come from tables."""
    theirs = [compute_limit(99), compute_price(10**9), create_account(WALLET, USDC, TOKEN), swap(), memo("theirs")]
    looked_up = [good.POOL, good.CONFIG, good.OBSERVATION, good.VAULTS, DESTINATION]
    table = AddressLookupTableAccount(Pubkey.new_unique(), looked_up)
    for instructions in (theirs, theirs[2:4]):
        foreign = MessageV0.try_compile(WALLET, instructions, [table], Hash.new_unique())
        assert foreign.address_table_lookups
        ours = stamped(foreign, blockhash=good.BLOCKHASH, text="order-1/1", units=300_000, price=1_000)
        found = safety.inspect(ours, ASKED, KNOWN, {table.key: looked_up})
        assert (found.swap, found.units, found.price) == (good.READ, 300_000, 1_000)
        assert ours.recent_blockhash == good.BLOCKHASH
        with pytest.raises(UnsafeTransaction):
            inspect(ours, tables={table.key: looked_up[:2]})
        with pytest.raises(UnsafeTransaction):
            inspect(ours)
