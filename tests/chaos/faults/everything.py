"""Several faults at a time."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable

from tests.chaos.faults.dispatches import dispatch, taken
from tests.chaos.faults.registry import TWO, fault
from tests.chaos.trial import Trial


@fault(TWO, rate=10, flaky=0.5)
async def all_together(trial: Trial) -> None:
    """Thirty seconds of whatever comes, several at a time."""
    ends = time.monotonic() + 30
    chain = trial.arena.chain()
    from routing.mock.faults import Fault as ChainFault

    for each in (ChainFault.DROP, ChainFault.LAND_THEN_TIMEOUT, ChainFault.REFUSE):
        chain.misbehave(each, probability=0.1)
    acts: list[Callable[[], object]] = [
        lambda: trial.arena.signal(trial.rng.choice(trial.arena.processes)),
        lambda: trial.arena.signal("redis"),
        lambda: trial.arena.signal("postgres", signal.SIGQUIT),
        lambda: trial.arena.redis().flushall(),
        lambda: dispatch(trial, taken(trial)[-20:], 50),
        lambda: trial.arena.redis().execute_command("CLIENT", "KILL", "TYPE", "normal"),
        lambda: trial.arena.arm(
            trial.rng.choice(("after_claim", "after_intent", "after_submit", "before_confirm_commit"))
        ),
    ]
    while time.monotonic() < ends:
        with contextlib.suppress(Exception):  # What is to be struck may be down already.
            await asyncio.to_thread(trial.rng.choice(acts))
        trial.heal()
        await asyncio.sleep(trial.rng.uniform(0.5, 4))
    trial.arena.control.unlink(missing_ok=True)
    chain.behave()
    trial.heal()
