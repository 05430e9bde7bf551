"""What happens between a quote and a signature: block hash, simulation, limit, and what fails there."""

import time
from collections.abc import Callable
from decimal import Decimal

import pytest
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from routing.solana.failures import METEORA_DLMM, failure
from routing.solana.programs import JUPITER, METEORA_DAMM, RAYDIUM_CPMM
from routing.solana.transaction import calls
from routing.values import Fate
from routing.venue import QuoteDeviates, SimulationFailed
from tests.localnet.node import Localnet
from tests.solana.stage import Stage, pair


async def test_a_cached_block_hash_that_is_too_old_is_replaced(stage: Stage) -> None:
    """200 blocks within its age: the node does not know it any more."""
    first = await stage.build("order-1")
    stage.venue()._means.builder._blockhashes._now = lambda: 0.0  # type: ignore[attr-defined]  # No time passes.
    stage.node.tick(200)
    second = await stage.build("order-2")
    assert second.validity - first.validity >= 200
    await stage.world.chain.submit(second)
    assert (await stage.settled(second)).fate is Fate.LANDED


async def test_block_hash_and_simulation_are_of_one_commitment(start_localnet: Callable[..., Localnet]) -> None:
    """Where finality is 31 blocks behind, a node that simulates at `finalized` does not know a younger hash."""
    node = start_localnet(hold="", finalized_after="31")
    node.tick(5)
    stage = Stage(node)
    swap = await stage.build()
    await stage.world.chain.submit(swap)
    assert (await stage.settled(swap, 33)).fate is Fate.LANDED
    await stage.world.close()


async def test_the_limit_is_what_the_simulation_used_and_a_fifth_more(stage: Stage) -> None:
    swap = await stage.build()
    message = VersionedTransaction.from_bytes(swap.payload).message
    limit = next(int.from_bytes(call.data[1:5], "little") for call in calls(message, {}) if call.data[:1] == b"\x02")
    await stage.world.chain.submit(swap)
    fill = (await stage.settled(swap)).fill
    assert fill is not None and fill.units is not None
    assert fill.units * 1.19 <= limit <= fill.units * 1.21


async def test_what_would_fail_now_is_not_signed(stage: Stage) -> None:
    """The pool moves after it was read: the simulation sees it, with the failing program's own error."""
    quote = await stage.quote()
    await stage.build()
    held = dict(stage.world.accounts._kept)
    stage.price(Decimal(140))
    for kept in held.values():
        kept.at = time.monotonic() + 60
    stage.world.accounts._kept.update(held)
    signed = len(stage.signer.signed)
    with pytest.raises(SimulationFailed) as caught:
        await stage.venue().build(
            pair(), quote, min_out=Decimal(149), slippage_bps=50, reference="o", attempt=1, signer=stage.signer
        )
    assert (caught.value.code, caught.value.permanent) == ("SLIPPAGE_EXCEEDED", False)
    assert len(stage.signer.signed) == signed


async def test_an_offer_below_the_least_is_refused_without_a_simulation(stage: Stage) -> None:
    quote = await stage.quote()
    with pytest.raises(QuoteDeviates):
        await stage.venue().build(
            pair(), quote, min_out=quote.amount_out + 1, slippage_bps=0, reference="o", attempt=1, signer=stage.signer
        )
    assert stage.signer.signed == []


def logs(*failed: tuple[object, str]) -> list[str]:
    return ["Program log: something", *(f"Program {program} failed: {why}" for program, why in failed)]


@pytest.mark.parametrize(
    ("program", "number", "code"),
    [
        (RAYDIUM_CPMM.address, 6005, "SLIPPAGE_EXCEEDED"),
        (METEORA_DAMM.address, 6002, "SLIPPAGE_EXCEEDED"),
        (METEORA_DLMM, 6003, "SLIPPAGE_EXCEEDED"),
        (JUPITER.address, 6001, "SLIPPAGE_EXCEEDED"),
        ("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA", 1, "INSUFFICIENT_FUNDS"),
        # The same numbers mean other things elsewhere.
        (RAYDIUM_CPMM.address, 6001, None),
        (RAYDIUM_CPMM.address, 6002, None),
        (METEORA_DAMM.address, 6005, None),
        (JUPITER.address, 6003, None),
    ],
)
def test_the_failing_program_decides_what_its_number_means(program: object, number: int, code: str | None) -> None:
    inner = f"custom program error: {number:#x}"
    caller = "11111111111111111111111111111112"
    found = failure({"InstructionError": [3, {"Custom": number}]}, logs((program, inner), (caller, inner)))
    assert found.code == code and found.logs[-1].startswith(f"Program {caller}")
    without_logs = failure(
        {"InstructionError": [0, {"Custom": number}]}, None, [program] if isinstance(program, Pubkey) else []
    )
    assert without_logs.code == (code if not isinstance(program, str) else None)


def test_errors_of_the_transaction_itself_have_codes() -> None:
    assert failure("InsufficientFundsForFee", None).code == "INSUFFICIENT_FUNDS"
    assert failure({"InsufficientFundsForRent": {"account_index": 2}}, []).code == "INSUFFICIENT_FUNDS"
    assert failure("WouldExceedMaxBlockCostLimit", None).code is None
    assert failure({"InstructionError": [0, "ProgramFailedToComplete"]}, None).code is None
