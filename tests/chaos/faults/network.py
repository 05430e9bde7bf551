"""Connections to Postgres and Redis that are slow, dark, reset or cut."""

import asyncio
from collections.abc import Awaitable, Callable

from tests.chaos.faults.postgres import dead_executors
from tests.chaos.faults.redis import resumes
from tests.chaos.faults.registry import PROXIED, fault
from tests.chaos.trial import Trial


async def through(trial: Trial, which: str, act: Callable[[object], Awaitable[None]], *, reset: bool = False) -> None:
    proxy = getattr(trial.arena, f"{which}_proxy")
    try:
        await act(proxy)
    finally:
        proxy.heal(reset=reset)
    trial.heal()
    if which == "redis":
        await resumes(trial)


async def slow(proxy: object) -> None:
    proxy.delay_s = 0.15  # type: ignore[attr-defined]
    await asyncio.sleep(8)


async def dark(proxy: object) -> None:
    proxy.swallow()  # type: ignore[attr-defined]
    await asyncio.sleep(10)


async def resets(proxy: object) -> None:
    for _ in range(12):
        proxy.reset()  # type: ignore[attr-defined]
        await asyncio.sleep(0.7)


async def cuts(proxy: object) -> None:
    proxy.cut = 0.1  # type: ignore[attr-defined]
    await asyncio.sleep(8)


async def refuses(proxy: object) -> None:
    proxy.refuse = True  # type: ignore[attr-defined]
    proxy.reset()  # type: ignore[attr-defined]
    await asyncio.sleep(20)


@fault(PROXIED)
async def postgres_slow(trial: Trial) -> None:
    """150 ms on every way."""
    await through(trial, "postgres", slow)


@fault(PROXIED)
async def postgres_dark(trial: Trial) -> None:
    """No byte comes through for 10 s."""
    await through(trial, "postgres", dark)


@fault(PROXIED)
async def postgres_dark_then_reset(trial: Trial) -> None:
    await through(trial, "postgres", dark, reset=True)


@fault(PROXIED)
async def postgres_resets(trial: Trial) -> None:
    await through(trial, "postgres", resets)


@fault(PROXIED)
async def postgres_cut_after_request(trial: Trial) -> None:
    """One answer in ten is lost with its connection, after the statement has run."""
    await through(trial, "postgres", cuts)


@fault(PROXIED)
async def postgres_unreachable(trial: Trial) -> None:
    """For 20 s, while it runs on: nobody must be taken for dead on its account."""
    before = dead_executors(trial)
    await through(trial, "postgres", refuses)
    await asyncio.sleep(4)
    trial.expect(dead_executors(trial) == before, "an executor was taken for dead because Postgres was out of reach")


@fault(PROXIED)
async def redis_slow(trial: Trial) -> None:
    await through(trial, "redis", slow)


@fault(PROXIED)
async def redis_dark(trial: Trial) -> None:
    await through(trial, "redis", dark)


@fault(PROXIED)
async def redis_dark_then_reset(trial: Trial) -> None:
    await through(trial, "redis", dark, reset=True)


@fault(PROXIED)
async def redis_resets(trial: Trial) -> None:
    await through(trial, "redis", resets)


@fault(PROXIED)
async def redis_cut_after_request(trial: Trial) -> None:
    await through(trial, "redis", cuts)
