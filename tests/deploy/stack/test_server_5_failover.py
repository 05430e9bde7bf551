"""PgBouncer and a synchronous standby by the documents; then the primary is killed under load. Nothing accepted is lost."""

import asyncio
import time

import httpx

from tests.deploy.clients import ORDER, Clients
from tests.deploy.machine.documents import blocks
from tests.deploy.machine.server import URL, Server
from tests.deploy.stack.conftest import Say
from tests.waiting import until

RATE = 15
STANDBY, PGBOUNCER, LOST = range(3)


def test_the_engine_runs_behind_pgbouncer_with_a_standby(server: Server, say: Say) -> None:
    documented = blocks("deploy.md", "A standby, PgBouncer")
    server.follow(documented[STANDBY])
    until(lambda: server.postgres("SELECT sync_state FROM pg_stat_replication") == "sync", 60, 0.5)
    server.follow(documented[PGBOUNCER], limit_s=600)
    server.ready()
    with server.client() as client:
        server.confirmed(client, ORDER)
    assert int(server.postgres("SELECT count(*) FROM pg_stat_activity WHERE usename = 'orderengine'")) > 5
    # What a session asks for reaches the server: a statement that waits for a lock ends in time, and the client gets its 503.
    with server.client() as client:
        lock = "BEGIN; LOCK TABLE orders_order IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(6); COMMIT"
        holding = asyncio.new_event_loop()
        try:
            held = holding.run_in_executor(None, server.postgres, lock)
            time.sleep(1)
            began = time.monotonic()
            answer = client.post("/api/orders/execute", json=ORDER)
            assert answer.status_code == 503 and time.monotonic() - began < 5
            holding.run_until_complete(held)
        finally:
            holding.close()
        until(lambda: client.post("/api/orders/execute", json=ORDER).status_code == 200, 30, 0.5)


async def test_the_primary_is_lost(server: Server, say: Say) -> None:
    clients = Clients(URL, server.key, verify=server.trust(), rate=RATE)
    running = asyncio.create_task(clients.run())
    await asyncio.sleep(4)
    began = time.monotonic()
    await asyncio.to_thread(server.machine.run, "kill -9 $(head -1 /var/lib/postgresql/*/main/postmaster.pid)")
    await asyncio.to_thread(server.follow, blocks("deploy.md", "A standby, PgBouncer")[LOST])
    switched = time.monotonic() - began
    await asyncio.to_thread(until, lambda: accepts(server), 60, 0.2)
    again = time.monotonic() - began
    await asyncio.sleep(3)
    clients.stop()
    await running
    say(
        f"primary killed under load: switched after {switched:.1f} s, orders accepted again after {again:.1f} s; "
        f"{len(clients.accepted)} accepted, {dict(sorted(clients.said.items()))}"
    )
    assert clients.statuses <= {"200", "500", "503"}
    there = set((await asyncio.to_thread(server.postgres, "SELECT id FROM orders_order", port=5433)).splitlines())
    assert clients.accepted and clients.accepted <= there, "an accepted order is lost"
    open_ = "SELECT count(*) FROM orders_order WHERE finished_at IS NULL AND NOT resting"
    await asyncio.to_thread(until, lambda: server.postgres(open_, port=5433) == "0", 120, 1)
    with server.staff() as staff:
        assert staff.get("/api/mock/chain").json()["ordersLandedTwice"] == 0


def accepts(server: Server) -> bool:
    with server.client() as client:
        try:
            return client.post("/api/orders/execute", json=ORDER).status_code == 200
        except httpx.HTTPError:
            return False
