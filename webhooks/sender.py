"""The sender: notes events, sends what is due, writes what became of it. One of all processes sends at a time.

It keeps nothing that matters: what it was sending when it died waits still, and is sent again. In order: of one order one
request is under way to an endpoint, and the next one only once the answer to this one is written.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from random import Random
from uuid import UUID

import psycopg

from webhooks import metrics, secrets, signing
from webhooks.body import Due, body_of
from webhooks.pace import FAILURES_TO_REST, Health, wait_s
from webhooks.post import Answer, Poster
from webhooks.store import MAX_SILENT_S, Outcome, Store, Target, connect, replay
from webhooks.types import message_id

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.5
"""From an event's commit to its sending, about."""
LOOK_SHARE = 10
"""A look that takes long is followed by a pause ten times as long: Postgres has other things to do."""
TURN_SHARE = 2
"""The same of each turn, twice as long: where Postgres is busy with orders it answers later, and the sender leaves it be."""
GATHER_S = 0.01
"""Answers that arrive together are written together."""
STANDBY_S = 2.0
"""Between two looks while there is nothing to do: no endpoint, or another process that sends."""
UPKEEP_S = 30.0
MAX_IN_FLIGHT = 1000
"""Requests to all endpoints together."""
unseal = lru_cache(10_000)(secrets.unseal)


@dataclass(frozen=True)
class Rules:
    """Numbers from the settings: seconds, days, requests at once to one endpoint."""

    retry_base_s: float
    retry_for_s: float
    keep_days: int
    concurrency: int


@dataclass
class Work:
    """What is under way to one endpoint."""

    target: Target
    health: Health
    in_flight: set[UUID] = field(default_factory=set)
    """Orders, plans and alerts."""


class Sender:
    """Runs on one event loop. `run` ends when it is cancelled; what is under way is then abandoned and sent again later."""

    def __init__(
        self,
        url: str,
        poster: Poster,
        rules: Rules,
        *,
        now: Callable[[], float] = time.monotonic,
        seed: int | None = None,
    ) -> None:
        self._url, self._poster, self._rules, self._now = url, poster, rules, now
        self._random = Random(seed)
        self._work: dict[UUID, Work] = {}
        self._outcomes: list[tuple[Due, Outcome, Answer]] = []
        self._busy: dict[int, asyncio.Task[None]] = {}
        self._replaying: dict[UUID, asyncio.Task[None]] = {}
        self._wake = asyncio.Event()
        self._used_at = float("-inf")
        """When Postgres last answered: it is certain until a little later that nobody else sends."""

    async def run(self) -> None:
        """Sends for as long as it is let; goes on after every outage of Postgres."""
        try:
            while True:
                try:
                    async with await connect(self._url) as connection:
                        await self._serve(Store(connection))
                except psycopg.Error as error:
                    log.warning("webhooks wait for Postgres: %s", str(error).strip())
                await asyncio.sleep(1.0)
        finally:
            for task in (*self._busy.values(), *self._replaying.values()):
                task.cancel()

    async def _serve(self, store: Store) -> None:
        while not await store.lock():
            await asyncio.sleep(STANDBY_S)
        look_at = upkeep_at = self._now()
        while True:
            began = self._used_at = self._now()
            await self._write(store)
            if self._now() >= look_at:
                look_at = await self._look(store)
            if self._now() >= upkeep_at:
                rules = self._rules
                waiting, failing = await store.upkeep(retry_for_s=rules.retry_for_s, keep_days=rules.keep_days)
                metrics.WAITING.set(waiting)
                metrics.FAILING.set(failing)
                upkeep_at = self._now() + UPKEEP_S
            await self._send(store)
            metrics.TURN_AT.set_to_current_time()
            await asyncio.sleep(min(TURN_SHARE * (self._now() - began), LOOK_EVERY_S))
            with contextlib.suppress(TimeoutError):
                pause = LOOK_EVERY_S if self._work else STANDBY_S
                await asyncio.wait_for(self._wake.wait(), min(pause, max(GATHER_S, look_at - self._now())))
                await asyncio.sleep(GATHER_S)
            self._wake.clear()

    async def _look(self, store: Store) -> float:
        """Reads the endpoints and notes new events; returns when to look again."""
        began = self._now()
        targets = {target.id: target for target in await store.targets()}
        for endpoint, target in targets.items():
            if (work := self._work.get(endpoint)) is None:
                # One that was failing when this process began is not rushed.
                health = Health(self._rules.concurrency, failures=FAILURES_TO_REST if target.failing else 0)
                work = self._work[endpoint] = Work(target, health)
            work.target = target
            if target.replay_from is not None and endpoint not in self._replaying:
                self._replaying[endpoint] = asyncio.create_task(self._replay(target))
        for gone in self._work.keys() - targets.keys():
            if not self._work[gone].in_flight:
                del self._work[gone]
        if targets:
            metrics.NOTED.inc(await store.note())
        self._used_at = self._now()
        pause = LOOK_EVERY_S if targets else STANDBY_S
        return self._now() + max(pause, LOOK_SHARE * (self._now() - began))

    async def _replay(self, target: Target) -> None:
        try:
            log.info("%d deliveries to webhook %s are sent again", await replay(self._url, target), target.id)
        except psycopg.Error as error:
            log.warning("webhook %s: nothing is sent again yet: %s", target.id, str(error).strip())
            await asyncio.sleep(STANDBY_S)
        finally:
            del self._replaying[target.id]

    async def _send(self, store: Store) -> None:
        """Begins as many requests as may be under way."""
        now, free = self._now(), {}
        for endpoint, work in self._work.items():
            if many := work.health.free(len(work.in_flight), now):
                free[endpoint] = many
        if not free or len(self._busy) >= MAX_IN_FLIGHT:
            return
        for due in await store.take(free, list(self._busy)):
            work = self._work[due.endpoint_id]
            if due.subject in work.in_flight or len(self._busy) >= MAX_IN_FLIGHT:
                continue
            work.in_flight.add(due.subject)
            self._busy[due.id] = asyncio.create_task(self._deliver(due, work.target))

    async def _deliver(self, due: Due, target: Target) -> None:
        try:
            answer = await self._attempt(due, target)
        except Exception:  # It is tried again like one that was not answered.
            log.exception("delivery %d to webhook %s", due.id, target.id)
            answer = Answer(None, "a fault of the engine; it is logged", 0)
        if answer is None:
            del self._busy[due.id]
            if (work := self._work.get(due.endpoint_id)) is not None:
                work.in_flight.discard(due.subject)
            return
        self._outcomes.append((due, self._outcome(due, answer), answer))
        self._wake.set()

    async def _attempt(self, due: Due, target: Target) -> Answer | None:
        """None: not made, because by now another process may be the one that sends."""
        if due.data is None:
            return Answer(None, "the event was purged", 0)
        try:
            keys = [unseal(bytes(key)) for key in (target.secret, target.previous_secret) if key is not None]
        except secrets.Unreadable:
            return Answer(None, "its secret was stored under another SECRET_KEY: rotate it", 0)
        body = body_of(due)
        headers = signing.headers(message_id(due.subject, due.seq, due.type), int(time.time()), body, keys)
        if self._now() - self._used_at > MAX_SILENT_S - 1:
            return None
        return await self._poster.post(target.url, body, headers)

    def _outcome(self, due: Due, answer: Answer) -> Outcome:
        if answer.ok:
            state, wait = "delivered", None
        elif due.data is None or due.age_s + answer.took_ms / 1000 > self._rules.retry_for_s:
            state, wait = "parked", None
        else:
            base, asked = self._rules.retry_base_s, answer.retry_after_s
            state, wait = "waiting", wait_s(due.attempts + 1, base, self._random, asked_s=asked)
        return Outcome(due.id, state, wait, answer.status, answer.said, answer.took_ms)

    async def _write(self, store: Store) -> None:
        """What became of attempts; only then the next of the same order may follow."""
        if not self._outcomes:
            return
        written = list(self._outcomes)
        await store.done([outcome for _, outcome, _ in written])
        del self._outcomes[: len(written)]
        for due, outcome, answer in written:
            del self._busy[due.id]
            metrics.ATTEMPTS.labels(outcome.state if answer.ok or outcome.state == "parked" else "failed").inc()
            if (work := self._work.get(due.endpoint_id)) is not None:
                work.in_flight.discard(due.subject)
                await self._judge(store, work, answer)

    async def _judge(self, store: Store, work: Work, answer: Answer) -> None:
        """Whether the endpoint is well."""
        if answer.ok:
            work.health.delivered()
            if work.target.failing:
                await store.failing(work.target.id, False)
                work.target = work.target._replace(failing=False)
            return
        work.health.failed(self._now(), answered=answer.status is not None)
        if answer.status == 410:
            await store.disable(work.target.id, "It answered 410 Gone.")
            self._work.pop(work.target.id, None)
        elif work.health.failing and not work.target.failing:
            log.warning("webhook %s fails: %s %s", work.target.id, answer.status or "", answer.said)
            await store.failing(work.target.id, True)
            work.target = work.target._replace(failing=True)
