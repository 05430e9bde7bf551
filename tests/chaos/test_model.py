"""Two executors against each other, driven by the engine's own decisions, however badly they are timed."""

import asyncio
import logging
import random
from typing import Any
from uuid import UUID, uuid4

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from orders.execution.executor import Executor
from orders.execution.retry import RetryPolicy
from orders.execution.steps import Steps
from orders.lifecycle import FINAL, SUCCESSORS, Status
from tests.chaos.memory import MAX_ATTEMPTS, Gate, ManualLoop, MemoryChain, MemoryLedger, MemoryRouter, Port

WHICH = st.integers(0, 1)


class Process:
    """One executor process, with its identity and its gate."""

    def __init__(self, ledger: MemoryLedger, chain: MemoryChain, loop: ManualLoop) -> None:
        self.ledger, self.chain, self.loop = ledger, chain, loop
        self.start()

    def start(self) -> None:
        self.gate = Gate()
        self.id = uuid4()
        self.ledger.alive.add(self.id)
        self.tasks: list[asyncio.Task[None]] = []
        claimer: Any = Port(self.gate, lambda item: self.ledger.claim(self.id, item[0]))
        recorder: Any = Port(self.gate, self.ledger.record)
        router: Any = MemoryRouter(self.chain, self.loop, self.gate)
        steps = Steps(
            router, RetryPolicy(MAX_ATTEMPTS, 500, 8000), random.Random(1), submit_timeout_s=10, resend_after_s=4
        )
        self.executor = Executor(claimer, recorder, steps, max_in_flight=10, max_preparing=10)

    def dispatch(self, order_ids: list[UUID]) -> None:
        self.tasks.append(self.loop.create_task(self.executor.execute(order_ids)))


class TwoExecutors(RuleBasedStateMachine):
    @initialize(orders=st.integers(1, 2))
    def begin(self, orders: int) -> None:
        self.loop = ManualLoop()
        self.ledger, self.chain = MemoryLedger(self.loop), MemoryChain(self.loop)
        self.processes = [Process(self.ledger, self.chain, self.loop) for _ in range(2)]
        for _ in range(orders):
            self.ledger.accept()

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.settle()
        self.loop.close()

    @rule(which=WHICH)
    def wake_up(self, which: int) -> None:
        """Dispatches everything: lost, repeated, stale and stolen wake-ups are all among these calls."""
        self.processes[which].dispatch(list(self.ledger.rows))
        self.loop.settle()

    @rule(which=WHICH, place=st.integers(0, 5), steps=st.integers(1, 12))
    def goes_on(self, which: int, place: int, steps: int) -> None:
        """A process that is not let through is paused, wherever it is."""
        for _ in range(steps):
            self.processes[which].gate.let_through(place)
            self.loop.settle()

    @rule(seconds=st.sampled_from([0.5, 2.0, 5.0, 31.0]))
    def time_passes(self, seconds: float) -> None:
        self.loop.seconds += seconds
        self.loop.settle()

    @rule(mood=st.sampled_from(["loses", "is silent", "refuses", "is late", "never"]))
    def chain_misbehaves(self, mood: str) -> None:
        self.chain.mood = mood

    @rule(which=WHICH)
    def taken_for_dead(self, which: int) -> None:
        """Rightly or not: it may go on working."""
        self.ledger.alive.discard(self.processes[which].id)
        self.ledger.take_over()

    @rule(which=WHICH)
    def learns_that_it_is_dead(self, which: int) -> None:
        process = self.processes[which]
        if process.id not in self.ledger.alive:
            self.loop.run_until_complete(self.abandon(process))
            process.id = uuid4()
            self.ledger.alive.add(process.id)

    @rule(which=WHICH)
    def crashes_and_starts_again(self, which: int) -> None:
        process = self.processes[which]
        self.loop.run_until_complete(self.abandon(process))
        process.start()

    async def abandon(self, process: Process) -> None:
        await process.executor.abandon()
        for task in process.tasks:
            task.cancel()
        await asyncio.gather(*process.tasks, return_exceptions=True)
        process.tasks.clear()

    @precondition(lambda self: hasattr(self, "loop"))
    @invariant()
    def promises(self) -> None:
        for order_id, row in self.ledger.rows.items():
            landed = self.chain.landed(order_id)
            assert len(landed) <= 1, f"landed twice: {landed}"
            for before, after in zip(row.path, row.path[1:], strict=False):
                assert after in SUCCESSORS[before].values(), f"{after} follows {before}"
            assert len(row.path) == row.seq
            assert not any(status in FINAL for status in row.path[:-1])
            if row.status is Status.CONFIRMED:
                assert landed == [row.tx_hash]
            if row.status in FINAL:
                assert row.unresolved is None
            if row.status is Status.FAILED:
                alive = [
                    one for one in self.chain.known.values() if one.swap.reference == str(order_id) and one.lands_at
                ]
                assert not alive, "failed, and a transaction of it may land or has landed"
        written = {signature for row in self.ledger.rows.values() for signature in row.intents}
        assert set(self.chain.sent) <= written, "sent before it was written down"

    @precondition(lambda self: hasattr(self, "loop"))
    @rule()
    def left_alone_it_ends(self) -> None:
        """Healed: both go on, the reconciler passes, time passes. Everything comes to an end."""
        self.chain.mood = "takes"
        for process in self.processes:
            self.learns_that_it_is_dead(self.processes.index(process))
        for _ in range(400):
            if all(row.status in FINAL for row in self.ledger.rows.values()):
                return
            self.ledger.take_over()
            for process in self.processes:
                orphaned = [
                    row
                    for row in self.ledger.rows.values()
                    if row.executor == process.id and row.id not in process.executor.asked
                ]
                if orphaned:
                    self.ledger.alive.discard(process.id)
                    process.id = uuid4()
                    self.ledger.alive.add(process.id)
                process.dispatch(list(self.ledger.rows))
                for _ in range(4):
                    for place in range(max(1, len(process.gate.waiting))):
                        process.gate.let_through(place)
                    self.loop.settle()
            self.loop.seconds += 1
            self.promises()
        raise AssertionError({row.status for row in self.ledger.rows.values()})


logging.getLogger("orders").setLevel(logging.CRITICAL)
TestTwoExecutors = TwoExecutors.TestCase
TestTwoExecutors.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
