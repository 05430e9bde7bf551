"""What a chain shows of a token before it is bought, on tokens and pools of the localnet's factory; nothing unknown passes."""

import struct
import time
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from localnet.factory import KINDS, LATE_S
from routing.gates import ENGINES, Finding, Gates, Purchase, Verdict, merged, overall, problem
from routing.mock.tokens import USDC
from routing.solana.addresses import SYSTEM, TOKEN, TOKEN_2022
from routing.solana.gates import holders, pool
from routing.solana.gates.mint import judge
from routing.solana.pools import CPMM, DAMM
from routing.values import Pair, Token, VenueName
from routing.venues import METEORA, RAYDIUM
from tests.solana.stage import Stage
from tests.waiting import until

FAILS = {
    "mintable": "mintAuthority",
    "freezable": "freezeAuthority",
    "taxed": "transferFee",
    "taxable": "transferFee",
    "frozen": "defaultFrozen",
    "bound": "nonTransferable",
    "delegated": "permanentDelegate",
    "hooked": "transferHook",
    "pausable": "pausable",
}
POWERS = dict.fromkeys(Gates.__struct_fields__[:8], False)
"""Nothing that the mint says counts: what is left has to see for itself."""
SIMULATED = {
    # What a simulated purchase and sale say of each kind, its mint unseen.
    "taxed": Verdict.FAIL,
    "unsellable": Verdict.FAIL,
    "frozen": Verdict.UNKNOWN,
    "bound": Verdict.UNKNOWN,
    "hooked": Verdict.UNKNOWN,
    "unheard-of": Verdict.UNKNOWN,
}


async def looked(
    stage: Stage, kind: str, *, venue: VenueName = RAYDIUM, pools: bool = True, lp_burnt: int = 0, **asked: Any
) -> tuple[list[Finding], dict[str, Finding]]:
    """What is found of a token of the kind that trades at 0.1 USDC in a pool of 100,000: all, and by gate."""
    purchase = bought(made(stage, kind, venue=venue, pools=pools, lp_burnt=lp_burnt), stage.signer.address, **asked)
    world = stage.open()  # One that has not looked for the pool before there was one.
    try:
        findings = await world.gates(purchase)
    finally:
        await world.close()
    return findings, {each.gate: each for each in findings}


def made(stage: Stage, kind: str, *, venue: VenueName = RAYDIUM, pools: bool = True, lp_burnt: int = 0) -> str:
    mint, control = str(Keypair().pubkey()), stage.node.control
    control("token", mint=mint, symbol=f"T{kind}{mint[:6]}", decimals=6, kind=kind)
    if pools:
        control("pool", venue=venue, base=mint, quote="USDC", price="0.1", depth="100000", lpBurntPercent=lp_burnt)
    stage.node.tick()
    return mint


def bought(mint: str, wallet: str | None, *, venue: VenueName = RAYDIUM, **asked: Any) -> Purchase:
    return Purchase(
        pair=Pair(USDC, Token("T", mint, 6)),
        amount=Decimal(10),
        expected=Decimal(99),
        wallet=wallet,
        venue=venue,
        gates=merged([Gates(**asked), ENGINES]),
    )


@pytest.mark.parametrize("kind", KINDS)
async def test_each_token_of_the_factory_by_the_engine_s_gates(stage: Stage, kind: str) -> None:
    findings, by_gate = await looked(stage, kind)
    failed = [each.gate for each in findings if each.verdict is Verdict.FAIL]
    if kind in ("good", "harmless", "hoarded"):
        assert overall(findings) is Verdict.PASS and "sellable" in by_gate, findings
    elif kind in ("unheard-of", "late"):
        assert overall(findings) is Verdict.UNKNOWN, findings
    elif kind == "unsellable":
        assert failed == ["sellable"], findings
    else:
        assert FAILS[kind] in failed and overall(findings) is Verdict.FAIL, findings


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "late"])
async def test_each_token_by_a_simulated_purchase_and_sale_alone(stage: Stage, kind: str) -> None:
    _, by_gate = await looked(stage, kind, **POWERS)
    wanted = SIMULATED.get(kind, Verdict.PASS)
    assert by_gate["sellable"].verdict is wanted, by_gate["sellable"]


@pytest.mark.parametrize("kind", KINDS)
async def test_each_token_by_its_holders_alone(stage: Stage, kind: str) -> None:
    _, by_gate = await looked(stage, kind, **POWERS, sellable=False, max_top_holders_bps=2_000)
    found = by_gate["topHolders"]
    assert found.verdict is (Verdict.FAIL if kind == "hoarded" else Verdict.PASS), found


@pytest.mark.parametrize("venue", [RAYDIUM, METEORA])
async def test_a_tax_that_is_allowed_is_measured(stage: Stage, venue: VenueName) -> None:
    """A tenth of what is bought; the localnet's programs pay for all that is sold, also for what does not arrive."""
    _, by_gate = await looked(stage, "taxed", venue=venue, **POWERS, max_round_trip_loss_bps=2_500)
    found = by_gate["sellable"]
    assert found.verdict is Verdict.PASS and "costs 10." in found.found, found
    _, by_gate = await looked(stage, "taxed", venue=venue, **POWERS, max_round_trip_loss_bps=900)
    assert by_gate["sellable"].verdict is Verdict.FAIL


async def test_what_a_round_trip_costs_is_held_against_what_it_may(stage: Stage) -> None:
    """Twice the pool's fee of a quarter of a percent."""
    _, by_gate = await looked(stage, "good", max_round_trip_loss_bps=40)
    assert by_gate["sellable"].verdict is Verdict.FAIL and "costs 0.5" in by_gate["sellable"].found, by_gate
    _, by_gate = await looked(stage, "good", max_round_trip_loss_bps=60)
    assert by_gate["sellable"].verdict is Verdict.PASS


async def test_what_cannot_be_sold_is_said_so(stage: Stage) -> None:
    _, by_gate = await looked(stage, "unsellable", venue=METEORA)
    assert by_gate["sellable"].found.startswith("what was bought cannot be sold"), by_gate


async def test_the_simulation_costs_nothing_and_signs_nothing(stage: Stage) -> None:
    before = stage.sol(), stage.tokens(USDC.mint)
    await looked(stage, "good")
    stage.node.tick()
    assert (stage.sol(), stage.tokens(USDC.mint)) == before and stage.signer.signed == []


@pytest.mark.parametrize("paid", ["wrapped", "from lamports"])
async def test_sol_pays_as_well(stage: Stage, paid: str) -> None:
    from routing.mock.tokens import SOL

    mint = str(Keypair().pubkey())
    stage.node.control("token", mint=mint, symbol=f"S{mint[:6]}", decimals=6, kind="good")
    stage.node.control("pool", venue="RAYDIUM", base=mint, quote="SOL", price="0.01", depth="1000")
    stage.node.tick()
    amount = Decimal(2) if paid == "wrapped" else Decimal(95)
    expected = amount * 100 * 1_000 / (1_000 + amount) * Decimal("0.9975")
    pair = Pair(SOL, Token("S", mint, 6))
    purchase = Purchase(
        pair=pair, amount=amount, expected=expected, wallet=stage.signer.address, venue=RAYDIUM, gates=ENGINES
    )
    findings = await stage.world.gates(purchase)
    assert overall(findings) is Verdict.PASS, findings


async def test_without_a_wallet_or_money_nobody_knows(stage: Stage) -> None:
    mint = made(stage, "good")
    for wallet in (None, str(Keypair().pubkey())):
        findings = await stage.world.gates(bought(mint, wallet))
        assert overall(findings) is Verdict.UNKNOWN, findings


async def test_a_pool_that_is_not_named_is_looked_at_all_the_same(stage: Stage) -> None:
    """Which pools are traded here is one thing, whether a token can be sold another."""
    mint = made(stage, "good")
    world = stage.open(pools=[str(Keypair().pubkey())])
    try:
        assert overall(await world.gates(bought(mint, stage.signer.address))) is Verdict.PASS
    finally:
        await world.close()


async def test_without_a_pool_nobody_knows(stage: Stage) -> None:
    _, by_gate = await looked(stage, "good", pools=False, min_pool_size=Decimal(1), min_pool_age=timedelta(0))
    assert {each.verdict for gate, each in by_gate.items() if gate in ("sellable", "poolSize", "poolAge")} == {
        Verdict.UNKNOWN
    }


@pytest.mark.parametrize(("least", "verdict"), [("99000", Verdict.PASS), ("100001", Verdict.UNKNOWN)])
async def test_a_pool_that_is_too_small_is_waited_for(stage: Stage, least: str, verdict: Verdict) -> None:
    _, by_gate = await looked(stage, "good", min_pool_size=Decimal(least))
    assert by_gate["poolSize"].verdict is verdict, by_gate["poolSize"]


@pytest.mark.parametrize("venue", [RAYDIUM, METEORA])
async def test_a_pool_that_is_too_young_is_waited_for(stage: Stage, venue: VenueName) -> None:
    _, by_gate = await looked(stage, "good", venue=venue, min_pool_age=timedelta(hours=1))
    assert by_gate["poolAge"].verdict is Verdict.UNKNOWN and "yet" in by_gate["poolAge"].found
    _, by_gate = await looked(stage, "good", venue=venue, min_pool_age=timedelta(0))
    assert by_gate["poolAge"].verdict is Verdict.PASS


async def test_a_pool_that_opens_late_is_none_until_then(stage: Stage) -> None:
    mint, began = made(stage, "late"), time.time()
    purchase = bought(mint, stage.signer.address)
    assert overall(await stage.world.gates(purchase)) is Verdict.UNKNOWN
    until(lambda: time.time() > began + LATE_S + 1, LATE_S + 30, 0.2)
    assert overall(await stage.world.gates(purchase)) is Verdict.PASS


@pytest.mark.parametrize(("burnt", "verdict"), [(95, Verdict.PASS), (50, Verdict.UNKNOWN)])
async def test_liquidity_that_may_be_taken_out_is_waited_for(stage: Stage, burnt: int, verdict: Verdict) -> None:
    _, by_gate = await looked(stage, "good", lp_burnt=burnt, min_lp_burnt_bps=9_000)
    assert by_gate["lpBurnt"].verdict is verdict and f"{burnt} %" in by_gate["lpBurnt"].found, by_gate["lpBurnt"]


async def test_where_a_pool_has_no_lp_nobody_knows(stage: Stage) -> None:
    _, by_gate = await looked(stage, "good", venue=METEORA, min_lp_burnt_bps=1)
    assert by_gate["lpBurnt"].verdict is Verdict.UNKNOWN


async def test_no_mint_is_unknown(stage: Stage) -> None:
    purchase = bought(str(Keypair().pubkey()), stage.signer.address)
    assert overall(await stage.world.gates(purchase)) is Verdict.UNKNOWN


@given(st.binary(max_size=300), st.sampled_from([TOKEN, TOKEN_2022, SYSTEM]))
def test_no_bytes_are_too_odd(data: bytes, owner: Pubkey) -> None:
    assert judge(owner, data, ENGINES)


@pytest.mark.parametrize(
    "kind",
    [kind for kind in KINDS if KINDS[kind].program == TOKEN_2022 and kind not in ("bound", "harmless", "unsellable")],
)
def test_what_is_cut_off_never_passes_for_less(kind: str) -> None:
    """A mint whose last bytes are missing may fail or be unknown; what it was made for is not overlooked."""
    whole = KINDS[kind].mint(6)
    for cut in (1, 8, 31):
        if len(whole) - cut >= 166 + 4:
            assert overall(judge(KINDS[kind].program, whole[:-cut], ENGINES)) is not Verdict.PASS, (kind, cut)


def test_what_is_switched_off_is_not_looked_at_but_the_unknown_is() -> None:
    off = merged([Gates(**POWERS), ENGINES])
    kinds = {kind: overall(judge(KINDS[kind].program, KINDS[kind].mint(6), off)) for kind in KINDS}
    assert kinds.pop("unheard-of") is Verdict.UNKNOWN and set(kinds.values()) == {Verdict.PASS}


def test_nothing_looked_at_is_no_pass() -> None:
    assert overall([]) is Verdict.UNKNOWN
    good, unknown = Finding("a", Verdict.PASS, ""), Finding("b", Verdict.UNKNOWN, "")
    assert overall([good]) is Verdict.PASS
    assert overall([good, unknown]) is Verdict.UNKNOWN
    assert overall([good, unknown, Finding("c", Verdict.FAIL, "")]) is Verdict.FAIL


def held(*units: int, owners: Sequence[Pubkey] = (), program: Pubkey | None = None) -> list[holders.Holder]:
    known = [*owners, *(Keypair().pubkey() for _ in units)]
    return [holders.Holder(known[n], program, each) for n, each in enumerate(units)]


def test_holders_are_counted_by_owner_and_pools_are_none() -> None:
    one = Keypair().pubkey()
    authority = [next(iter(holders.POOL_AUTHORITIES))]
    assert holders.judge(held(30, 30, owners=[one, one]), 100, 5_999).verdict is Verdict.FAIL
    assert holders.judge(held(30, 30, owners=[one, one]), 100, 6_000).verdict is Verdict.PASS
    assert holders.judge(held(90, owners=authority), 100, 0).verdict is Verdict.PASS
    assert holders.judge(held(90, program=CPMM.program), 100, 0).verdict is Verdict.PASS
    assert holders.judge(held(90, owners=[holders.INCINERATOR]), 100, 0).verdict is Verdict.PASS
    assert holders.judge(held(*[5] * 20), 100, 4_999).verdict is Verdict.FAIL
    assert holders.judge(held(*[5] * 20), 100, 5_000).verdict is Verdict.PASS
    assert holders.judge([], 0, 10_000).verdict is Verdict.UNKNOWN


def test_liquidity_of_both_pool_types_is_read() -> None:
    lp, data = Keypair().pubkey(), bytearray(CPMM.size)
    data[136:168], data[333:341] = bytes(lp), struct.pack("<Q", 1_000)
    liquidity = pool.liquidity_of(CPMM.program, bytes(data))
    assert (liquidity.lp_mint, liquidity.made, liquidity.locked) == (lp, 1_000, None)
    assert pool.lp_burnt(liquidity, 100, 9_000).verdict is Verdict.PASS
    assert pool.lp_burnt(liquidity, 101, 9_000).verdict is Verdict.UNKNOWN
    assert pool.lp_burnt(liquidity, None, 0).verdict is Verdict.UNKNOWN
    data = bytearray(DAMM.size)
    data[360:376], data[552:568] = (2**100).to_bytes(16, "little"), (2**99).to_bytes(16, "little")
    liquidity = pool.liquidity_of(DAMM.program, bytes(data))
    assert pool.lp_burnt(liquidity, None, 5_000).verdict is Verdict.PASS
    assert pool.lp_burnt(liquidity, None, 5_001).verdict is Verdict.UNKNOWN
    assert pool.lp_burnt(pool.liquidity_of(SYSTEM, b""), None, 0).verdict is Verdict.UNKNOWN


def test_the_first_layer_that_says_anything_counts() -> None:
    own = Gates(max_top_holders_bps=1, sellable=False)
    account = Gates(max_top_holders_bps=2, min_pool_age=timedelta(seconds=3), mint_authority=False)
    found = merged([own, None, account, ENGINES])
    assert (found.max_top_holders_bps, found.sellable, found.mint_authority) == (1, False, False)
    assert found.min_pool_age == timedelta(seconds=3) and found.freeze_authority is True
    assert merged([ENGINES]) == ENGINES and problem(found) is None


@pytest.mark.parametrize(
    ("gates", "field"),
    [
        (Gates(min_pool_size=Decimal("NaN")), "minPoolSize"),
        (Gates(min_pool_size=Decimal(-1)), "minPoolSize"),
        (Gates(min_pool_size=Decimal("1e19")), "minPoolSize"),
        (Gates(min_pool_age=timedelta(seconds=-1)), "minPoolAge"),
        (Gates(timeout=timedelta(days=367)), "timeout"),
    ],
)
def test_thresholds_that_mean_nothing_are_named(gates: Gates, field: str) -> None:
    found = problem(gates)
    assert found is not None and found[0] == field
