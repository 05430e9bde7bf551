"""Clients of plans: each asks until its plan is taken, follows its socket, and cancels it after a while if it has not ended."""

import asyncio
import contextlib
import random
from collections.abc import Callable
from typing import Any

import httpx

from tests.chaos.following import Stream, ask_until_taken, follow

ENDED = ("completed", "cancelled", "expired", "failed")
WIDE: dict[str, Any] = {"slippageBps": 2000, "maxSlippageBps": 5000}
CLOSES = {"kind": "timeLimit", "after": "PT3S", **WIDE}
"""Whatever the market does, the position is closed after a while."""
BUY: dict[str, Any] = {
    "kind": "bracket",
    "tokenIn": "USDC",
    "tokenOut": "SOL",
    "amount": "30",
    "slippageBps": 2000,
}
AT_ONCE = BUY | {"type": "sniper", "trigger": {"kind": "liquidity", "minLiquidity": "1"}}
"""Fires at the next tick. Exits that are due as soon as it has filled would be refused after a market order."""
FAR = [
    {"kind": "takeProfit", "price": "1000000", "slippageBps": 2000},
    {"kind": "stopLoss", "price": "0.01", **WIDE},
]
# A take-profit of a half and a stop of the whole both fire at once: the fees alone have brought the price below the cost.
RACE = AT_ONCE | {
    "exits": [
        {"kind": "takeProfit", "price": "1.5", "portionBps": 5000, "slippageBps": 2000},
        {"kind": "stopLoss", "atBps": 1, **WIDE},
        CLOSES,
    ]
}
# Its half can hardly fill at that slippage, and rests again: the turn goes back and forth until the time is up.
IN_PARTS = AT_ONCE | {
    "exits": [
        {"kind": "takeProfit", "price": "1.5", "portionBps": 3333, "slippageBps": 2000},
        {"kind": "takeProfit", "price": "1.4", "portionBps": 3333, "slippageBps": 0},
        FAR[1],
        CLOSES,
    ]
}
TRAILING = BUY | {"exits": [{"kind": "trailing", "trailBps": 50, **WIDE}, CLOSES]}
RESTING = BUY | {"exits": FAR}
HELD = {
    "kind": "bracket",
    "entry": False,
    "tokenIn": "SOL",
    "tokenOut": "USDC",
    "amount": "0.3",
    "exits": [*FAR, CLOSES],
}
SCHEDULE: dict[str, Any] = {
    "kind": "schedule",
    "tokenIn": "USDC",
    "tokenOut": "SOL",
    "amount": "9.000001",
    "slices": 3,
    "window": "PT12S",
    "slippageBps": 2000,
}
SPREAD = SCHEDULE | {"catchUp": "spread", "jitterBps": 3000}
PLANS = (RACE, IN_PARTS, TRAILING, RESTING, HELD, SCHEDULE, SPREAD)


class PlanClients:
    """`pool` gives a client for the next request."""

    def __init__(
        self, url: str, ws_url: str, headers: dict[str, str], rng: random.Random, pool: Callable[[], httpx.AsyncClient]
    ) -> None:
        self._url, self._ws_url, self._headers = url, ws_url, headers
        self._rng, self._pool = rng, pool
        self.taken: dict[str, set[str]] = {}
        """Key → the plans it was answered with: one, or the promise is broken."""
        self.refused: list[str] = []
        self.abandoned: list[str] = []
        self.streams: dict[str, Stream] = {}

    def go_to(self, url: str, ws_url: str) -> None:
        """Where the next requests and sockets go."""
        self._url, self._ws_url = url, ws_url

    async def run(self, key: str, kind: dict[str, Any] | None = None, *, cancels: bool = True) -> None:
        """One plan from its wish to its end."""
        body = kind or self._rng.choice(PLANS)
        taken = await ask_until_taken(lambda: self._post(key, body), self._rng)
        if not taken:
            self.abandoned.append(key)
            return
        plan_id = taken[0]
        self.taken.setdefault(key, set()).update(taken)
        stream = self.streams.setdefault(plan_id, Stream(plan_id, ENDED))
        followed = follow(stream, lambda: f"{self._ws_url}/ws/plans/{plan_id}", self._headers, self._rng)
        await asyncio.gather(followed, *([self._cancel(plan_id)] if cancels else []))

    async def _post(self, key: str, body: dict[str, Any]) -> str | None:
        with contextlib.suppress(httpx.HTTPError, RuntimeError, ValueError, KeyError):
            headers = {**self._headers, "Idempotency-Key": key}
            answer = await self._pool().post(f"{self._url}/api/plans", json=body, headers=headers)
            if answer.is_success:
                return str(answer.json()["planId"])
            if answer.status_code < 500 and answer.status_code != 429:
                self.refused.append(f"{key}: {answer.text}")
        return None

    async def _cancel(self, plan_id: str) -> None:
        """As often as it takes: while the entry is at work it is too late, and once more when there are exits."""
        stream = self.streams[plan_id]
        await asyncio.sleep(self._rng.uniform(0.5, 9.0))
        while not stream.ended:
            with contextlib.suppress(httpx.HTTPError, RuntimeError):
                answer = await self._pool().delete(f"{self._url}/api/plans/{plan_id}", headers=self._headers)
                if answer.is_success:
                    return
            await asyncio.sleep(self._rng.uniform(0.3, 2.0))
