"""What `/readyz` says of a fault while it lasts."""

import asyncio
import contextlib
import time

import httpx

from tests.chaos.trial import Trial

REPORTS_WITHIN_S = 5.0


async def reports(trial: Trial, status: str, within_s: float = REPORTS_WITHIN_S) -> None:
    """`/readyz` comes to say `ok`, `degraded` or `unavailable`, and answers 503 with the last and only then."""
    ends, stalled = time.monotonic() + within_s, trial.load.stalled
    said: tuple[int, object] = (0, None)
    async with httpx.AsyncClient(timeout=REPORTS_WITHIN_S) as client:
        while time.monotonic() < ends + trial.load.stalled - stalled:
            with contextlib.suppress(httpx.HTTPError, ValueError):
                answer = await client.get(f"{trial.arena.engine.url}/readyz")
                said = answer.status_code, answer.json()
                if isinstance(said[1], dict) and said[1].get("status") == status:
                    return trial.expect(said[0] == (503 if status == "unavailable" else 200), f"/readyz: {said}")
            await asyncio.sleep(0.2)
    trial.expect(False, f"/readyz does not say {status} within {within_s:.0f} s: {said}")
