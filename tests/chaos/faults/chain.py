"""A chain that drops, delays, refuses and does not answer."""

import asyncio

from tests.chaos.faults.registry import TWO, fault
from tests.chaos.trial import Trial


async def misbehave(trial: Trial, name: str, *, seconds: float = 8, delay_s: float = 5) -> None:
    from routing.mock.faults import Fault as ChainFault

    chain = trial.arena.chain()
    chain.misbehave(ChainFault(name), probability=0.5, delay_s=delay_s)
    await asyncio.sleep(seconds)
    chain.behave()
    trial.heal()


@fault(TWO)
async def chain_gives_no_answer(trial: Trial) -> None:
    """Lands, and times out."""
    await misbehave(trial, "land_then_timeout")


@fault(TWO)
async def chain_drops(trial: Trial) -> None:
    await misbehave(trial, "drop")


@fault(TWO)
async def chain_delays(trial: Trial) -> None:
    await misbehave(trial, "delay", delay_s=4)


@fault(TWO)
async def chain_expires(trial: Trial) -> None:
    """Delays past the validity: half of the transactions never land."""
    await misbehave(trial, "delay", seconds=6, delay_s=20)


@fault(TWO)
async def chain_refuses(trial: Trial) -> None:
    await misbehave(trial, "refuse")
