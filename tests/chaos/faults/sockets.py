"""Clients that drop, resume, and do not read."""

import asyncio
import contextlib
import hashlib
import secrets
import time
from collections import Counter

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.chaos.faults.registry import TWO, fault
from tests.chaos.trial import Trial


@fault(TWO, flaky=1.0)
async def sockets_dropped(trial: Trial) -> None:
    """Every socket drops at random and resumes; one reader of the feed never reads."""
    from tests.chaos.clients import NeverReads

    reader = NeverReads(trial.arena.engine.port, trial.arena.api_key)
    await reader.open()
    await asyncio.sleep(10)
    reader.close()
    trial.heal()


SOCKETS = 1_000
CLOSED_WITHIN_S = 5.0


@fault(TWO)
async def credential_revoked(trial: Trial) -> None:
    """A key with a thousand open sockets is revoked: all of them close with 4401 within five seconds."""
    arena = trial.arena
    key, prefix = issue_key(trial, "revoked")
    url = f"{arena.engine.ws_url}/ws/orders"
    headers = {"Authorization": f"Bearer {key}"}
    async with contextlib.AsyncExitStack() as stack:
        sockets = []
        for start in range(0, SOCKETS, 50):
            opening = (connect(url, additional_headers=headers, open_timeout=60) for _ in range(start, start + 50))
            sockets += await asyncio.gather(*(stack.enter_async_context(each) for each in opening))
        stalled = trial.load.stalled
        arena.sql("UPDATE accounts_apikey SET revoked_at = now() WHERE prefix = %s", prefix)
        trial.heal()
        began = time.monotonic()
        waits = [asyncio.create_task(closed(each)) for each in sockets]
        done, open_ = await asyncio.wait(waits, timeout=30)
        for wait in open_:
            wait.cancel()
        took = time.monotonic() - began - (trial.load.stalled - stalled)
        codes = Counter(wait.result() for wait in done)
    trial.expect(codes == {4401: SOCKETS}, f"{len(open_)} sockets stay open, the others closed with {dict(codes)}")
    trial.expect(took <= CLOSED_WITHIN_S, f"the last socket closed {took:.1f} s after its key was revoked")


def issue_key(trial: Trial, name: str) -> tuple[str, str]:
    """A key of an account of its own, straight into the table: its secret and its prefix."""
    secret = "oe_" + secrets.token_urlsafe(32)
    trial.arena.sql(
        "WITH owner AS (INSERT INTO accounts_account (name, created_at) VALUES (%s, now()) RETURNING id)"
        " INSERT INTO accounts_apikey (account_id, name, prefix, hash, scopes, created_at)"
        " SELECT id, '', %s, %s, '{read}', now() FROM owner",
        f"{name}-{secrets.token_hex(4)}",
        secret[:10],
        hashlib.sha256(secret.encode()).digest(),
    )
    return secret, secret[:10]


async def closed(socket: ClientConnection) -> int | None:
    """The code it is closed with."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            await socket.recv()
    return socket.close_code
