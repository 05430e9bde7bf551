"""Faults of a real chain and of the way to it: transactions lost, late, unanswered, nodes that lag or disagree, and deaths."""

import asyncio
import signal

import httpx

from tests.chaos.faults.processes import CRASH_POINTS, freeze
from tests.chaos.faults.registry import LOCALNET, fault
from tests.chaos.trial import Trial

STRIKES = 15
PAUSE_S = 8.0
FINAL_S = 60.0
"""For an order whose transaction is lost: its 150 blocks take fifteen seconds here, and an attempt may follow."""


async def strike(trial: Trial, *faults: str, node: int | None = None, count: int = STRIKES) -> None:
    """Each fault so many times, then the rest of them is taken back."""
    url = f"{trial.arena.engine.localnet['controlUrl']}/fault"
    where = {} if node is None else {"node": node}
    async with httpx.AsyncClient(timeout=20, trust_env=False) as client:
        for name in faults:
            (await client.post(url, json={"fault": name, "count": count, **where})).raise_for_status()
        await asyncio.sleep(PAUSE_S)
        for name in faults:
            (await client.post(url, json={"fault": name, "count": 0, **where})).raise_for_status()
    trial.heal()


@fault(LOCALNET, within_s=FINAL_S)
async def localnet_drops(trial: Trial) -> None:
    """The node takes transactions and loses them."""
    await strike(trial, "drop")


@fault(LOCALNET, within_s=FINAL_S)
async def localnet_gives_no_answer(trial: Trial) -> None:
    """Transactions land, and their senders time out."""
    await strike(trial, "land_then_timeout")


@fault(LOCALNET, within_s=FINAL_S)
async def localnet_delays(trial: Trial) -> None:
    await strike(trial, "delay")


@fault(LOCALNET, within_s=FINAL_S)
async def localnet_refuses(trial: Trial) -> None:
    """Nodes refuse what they are sent. Their word is no proof of anything."""
    await strike(trial, "refuse")


@fault(LOCALNET, within_s=FINAL_S)
async def localnet_nodes_disagree(trial: Trial) -> None:
    """The second node answers from 200 blocks ago, beyond any validity; the first one does not."""
    await strike(trial, "lag", node=2, count=100_000)


@fault(LOCALNET, within_s=FINAL_S)
async def localnet_history_is_late(trial: Trial) -> None:
    """What landed cannot be read yet."""
    await strike(trial, "null_history", "lag")


@fault(LOCALNET, within_s=FINAL_S)
async def localnet_forks(trial: Trial) -> None:
    """Blocks that are not final yet are taken back, with the transactions in them."""
    url = f"{trial.arena.engine.localnet['controlUrl']}/fault"
    async with httpx.AsyncClient(timeout=20, trust_env=False) as client:
        for _ in range(STRIKES):
            (await client.post(url, json={"fault": "fork", "count": 1})).raise_for_status()
            await asyncio.sleep(trial.rng.uniform(0.05, 0.5))
    trial.heal()


@fault(LOCALNET, within_s=FINAL_S, short=True)
async def localnet_crash_points(trial: Trial) -> None:
    """kill -9 at each named point between build, intent, send and confirm, while nodes lose and answer nothing."""
    for point in CRASH_POINTS:
        trial.arena.arm(point)
        await trial.arena.until_fired()
        trial.heal()
    await strike(trial, "drop", "land_then_timeout", count=5)


@fault(LOCALNET, within_s=FINAL_S)
async def localnet_killed(trial: Trial) -> None:
    """kill -9 of the chain itself, three times."""
    for _ in range(3):
        trial.arena.signal("localnet", signal.SIGKILL)
        await asyncio.sleep(trial.rng.uniform(2, 4))
    trial.heal()


@fault(LOCALNET, within_s=FINAL_S)
async def localnet_frozen_past_expiry(trial: Trial) -> None:
    """SIGSTOP of a worker between the intent and the sending, until the block hash is too old."""
    await freeze(trial, "after_intent", 20)
