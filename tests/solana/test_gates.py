"""What a mint says of its maker's powers, on tokens of the localnet's factory; and that nothing unknown passes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from localnet.factory import KINDS
from routing.gates import Finding, Verdict, overall
from routing.solana.addresses import SYSTEM, TOKEN, TOKEN_2022
from routing.solana.mint_gates import judge
from tests.solana.stage import Stage

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


@pytest.mark.parametrize("kind", KINDS)
async def test_each_token_of_the_factory(stage: Stage, kind: str) -> None:
    mint = str(Keypair().pubkey())
    stage.node.control("token", mint=mint, symbol=f"T{kind}", decimals=6, kind=kind)
    stage.node.tick()
    findings = await stage.world.gates(mint)
    failed = [each.gate for each in findings if each.verdict is Verdict.FAIL]
    if kind in ("good", "harmless"):
        assert overall(findings) is Verdict.PASS, findings
    elif kind == "unheard-of":
        assert overall(findings) is Verdict.UNKNOWN, findings
    else:
        assert FAILS[kind] in failed and overall(findings) is Verdict.FAIL, findings


async def test_no_mint_is_unknown(stage: Stage) -> None:
    assert overall(await stage.world.gates(str(Keypair().pubkey()))) is Verdict.UNKNOWN


@given(st.binary(max_size=300), st.sampled_from([TOKEN, TOKEN_2022, SYSTEM]))
def test_no_bytes_are_too_odd(data: bytes, owner: Pubkey) -> None:
    assert judge(owner, data)


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if KINDS[kind][0] == TOKEN_2022 and kind not in ("bound", "harmless")]
)
def test_what_is_cut_off_never_passes_for_less(kind: str) -> None:
    """A mint whose last bytes are missing may fail or be unknown; what it was made for is not overlooked."""
    program, make = KINDS[kind]
    for cut in (1, 8, 31):
        whole = make(6)
        if len(whole) - cut >= 166 + 4:
            assert overall(judge(program, whole[:-cut])) is not Verdict.PASS, (kind, cut)


def test_nothing_looked_at_is_no_pass() -> None:
    assert overall([]) is Verdict.UNKNOWN
    good, unknown = Finding("a", Verdict.PASS, ""), Finding("b", Verdict.UNKNOWN, "")
    assert overall([good]) is Verdict.PASS
    assert overall([good, unknown]) is Verdict.UNKNOWN
    assert overall([good, unknown, Finding("c", Verdict.FAIL, "")]) is Verdict.FAIL
