"""Two web processes behind each proxy are restarted one after the other under load: no client gets a 5xx.

Requests with and without an Idempotency-Key, GETs and orders, on connections of their own and on kept ones.
"""

import asyncio
import shutil
import signal
import tempfile
from pathlib import Path

import pytest

from tests.acceptance.hosts import Host
from tests.acceptance.test_hosts import answers, hosts, prepared
from tests.deploy import proxies
from tests.deploy.clients import RATE, Clients

ROUNDS = 2
AVAILABLE = {"caddy": proxies.CADDY, "nginx": proxies.NGINX}


async def restart(host: Host) -> None:
    child = host.children["web"]
    child.send_signal(signal.SIGTERM)
    await asyncio.to_thread(child.wait, 30)
    host.start("web")
    await answers(host)


@pytest.mark.parametrize("kind", list(AVAILABLE))
async def test_no_client_sees_a_rolling_restart(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    if not AVAILABLE[kind]:
        pytest.skip(f"no {kind}: apt-get install {kind}")
    folder = Path(tempfile.mkdtemp(prefix="orderengine-rolling-"))
    try:
        async with hosts(folder) as (_, [one, two, three]):
            key = await asyncio.to_thread(prepared, one)
            for host in (one, two):
                host.environment["ALLOWED_HOSTS"] = f"127.0.0.1,{proxies.DOMAIN}"
                host.environment["HTTPS"] = "true"
                host.environment["FORWARDED_ALLOW_IPS"] = "127.0.0.1"
                host.environment["STOP_DELAY_S"] = "3"
                host.start("web")
            three.start("orders")
            await asyncio.gather(answers(one), answers(two))
            web = [f"127.0.0.1:{host.port}" for host in (one, two)]
            proxy_folder = folder / "proxy"
            proxy_folder.mkdir()
            with getattr(proxies, kind)(proxy_folder, web) as proxy:
                clients = Clients(proxy.url, key)
                running = asyncio.create_task(clients.run())
                await asyncio.sleep(3)
                for _ in range(ROUNDS):
                    await restart(one)
                    await restart(two)
                await asyncio.sleep(2)
                clients.stop()
                await running
            with capsys.disabled():
                print(f"\n{kind}: {dict(sorted(clients.said.items()))}, slowest {clients.slowest:.2f} s")
            log = (proxy_folder / "proxy.log").read_text()[-2000:]
            assert clients.statuses == {"200"}, f"{clients.said}\n{log}"
            assert clients.said.total() > RATE * 5
    finally:
        shutil.rmtree(folder, ignore_errors=True)
