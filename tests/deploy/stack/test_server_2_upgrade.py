"""Rolling restart and upgrade under load, as the documents say it, behind each proxy: no client gets a 5xx."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.deploy.clients import Clients
from tests.deploy.machine import wheels
from tests.deploy.machine.documents import block
from tests.deploy.machine.server import URL, Server
from tests.deploy.stack.conftest import Say
from tests.waiting import until

RATE = 20
UNITS = [
    f"orderengine@{name}" for name in ("orders", "quotes", "limit", "sniper", "dbsync", "beat", "webhooks", "flower")
]
UNITS += ["orderengine-web@8001", "orderengine-web@8002"]
OPEN = "SELECT count(*) FROM orders_order WHERE finished_at IS NULL AND NOT resting"
WEB = """
for port in 8001 8002; do
    systemctl restart orderengine-web@$port
    until curl -fso /dev/null http://127.0.0.1:$port/readyz; do sleep 1; done
done
"""


@asynccontextmanager
async def load(server: Server, what: str, say: Say) -> AsyncIterator[None]:
    """Every answer is 200, and every order that was accepted ends."""
    clients = Clients(URL, server.key, verify=server.trust(), rate=RATE)
    running = asyncio.create_task(clients.run())
    await asyncio.sleep(3)
    try:
        yield
        await asyncio.sleep(2)
    finally:
        clients.stop()
        await running
    say(
        f"{what}: {clients.said.total()} requests, {dict(sorted(clients.said.items()))}, slowest {clients.slowest:.2f} s"
    )
    assert clients.statuses == {"200"} and clients.said.total() > 5 * RATE
    await asyncio.to_thread(until, lambda: server.postgres(OPEN) == "0", 120, 1)
    there = set(server.postgres("SELECT id FROM orders_order").splitlines())
    assert clients.accepted and clients.accepted <= there


async def test_upgrade_behind_caddy(server: Server, say: Say) -> None:
    """From the earlier version's wheel, whose processes run beside the new ones meanwhile."""
    assert wheels.EARLIER_VERSION in running(server)
    script = block("upgrades.md", "Rolling upgrade", "ln -sfn")
    installing, switch = script[: script.index("ln -sfn")], script[script.index("ln -sfn") :]
    await asyncio.to_thread(server.follow, installing, limit_s=900)
    async with load(server, "upgrade behind Caddy", say):
        await asyncio.to_thread(server.follow, switch, limit_s=600)
    assert wheels.EARLIER_VERSION not in running(server)
    server.ready()


def test_every_unit_runs_as_its_own_user_without_rights(server: Server) -> None:
    """The hardening of the units holds with the real engine inside: nothing has been killed for a system call or for memory."""
    assert server.active(*UNITS)
    # Nobody may raise it beyond what this machine allows.
    most = int(server.machine.ask("prlimit --pid 1 --nofile --output HARD --noheadings"))
    for unit in UNITS:
        pid = server.machine.ask(f"systemctl show -p MainPID --value '{unit}'")
        status = server.machine.ask(f"cat /proc/{pid}/status; cat /proc/{pid}/limits")
        assert server.machine.ask(f"stat -c %U /proc/{pid}") == "orderengine", unit
        assert re.search(r"^CapEff:\s+0+$", status, re.M) and re.search(r"^NoNewPrivs:\s+1$", status, re.M), unit
        assert re.search(r"^Seccomp:\s+2$", status, re.M), unit
        [files] = re.findall(r"^Max open files\s+(\d+)", status, re.M)
        assert int(files) == min(65536, most), unit
        assert server.machine.ask(f"systemctl show -p NRestarts --value '{unit}'") == "0", server.log(unit)


def test_only_order_workers_see_keys_of_wallets(server: Server) -> None:
    """Though every process runs as the same user: the folder is hidden from the others, the encryption key is root's."""
    assert server.machine.ask("stat -c %U:%a /etc/orderengine/wallet_encryption_keys") == "root:400"
    reads = "nsenter -t {} --mount runuser -u orderengine -- ls {}"
    for unit in UNITS:
        pid = server.machine.ask(f"systemctl show -p MainPID --value '{unit}'")
        sees = server.machine.run(reads.format(pid, "/var/lib/orderengine/keys"), check=False).returncode == 0
        environment = server.machine.ask(f"tr '\\0' '\\n' < /proc/{pid}/environ")
        variable = re.search(r"^WALLET_ENCRYPTION_KEYS_FILE=(\S+)", environment, re.M)
        assert (sees, variable is not None) == ((unit == "orderengine@orders",) * 2), unit
        if variable:
            assert server.machine.run(reads.format(pid, variable[1]), check=False).returncode == 0


def running(server: Server) -> str:
    return server.machine.ask("ps -u orderengine -o args=")


@pytest.mark.parametrize("proxy", ["caddy", "nginx"])
async def test_rolling_restart(server: Server, say: Say, proxy: str) -> None:
    if proxy == "nginx":
        server.nginx()
    try:
        async with load(server, f"rolling restart behind {proxy}", say):
            await asyncio.to_thread(server.machine.run, WEB, limit_s=600)
            await asyncio.to_thread(
                server.systemctl, "restart", "orderengine@orders", "orderengine@dbsync", "orderengine@beat"
            )
    finally:
        if proxy == "nginx":
            server.caddy()
    said = server.machine.ask("journalctl --unit 'orderengine-web@*' --output cat --no-pager")
    assert "Stopped orderengine-web@8001" in said and "the process ends by an error" not in said
    server.ready()
