"""The bot of docs/bots.md, as it stands there, through what the page says it survives."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import httpx

from tests.engine import BASE_DIR, MOCK_ONLY, Engine

pytestmark = MOCK_ONLY
SECONDS = 15
LIMIT_S = 150
PLACED = re.compile(r"followed (\d+) orders, (\d+) events of (grid-\w+)")


def bot(url: str) -> str:
    blocks = re.findall(r"```python\n(.*?)```", (BASE_DIR / "docs" / "bots.md").read_text(), re.DOTALL)
    return "\n".join(blocks).replace("http://127.0.0.1:8000", url)


def test_it_misses_nothing_and_its_sums_are_the_engine_s(start_engine: Callable[..., Engine], tmp_path: Path) -> None:
    """Killed: the web process with the stream, then the whole engine, in the midst of orders."""
    engine = start_engine(MOCK_LATENCY="0.2")
    script, said = tmp_path / "bot.py", tmp_path / "said"
    script.write_text(bot(engine.url))
    own = {"ENGINE_KEY": str(engine.credentials["apiKey"]), "BOT_SECONDS": str(SECONDS), "PYTHONUNBUFFERED": "1"}
    with said.open("w") as output:
        process = subprocess.Popen([sys.executable, script], env=os.environ | own, stdout=output, stderr=output)
    try:
        time.sleep(SECONDS / 5)
        engine.wait_restarted("web", engine.kill("web"))
        time.sleep(SECONDS / 5)
        assert engine.process is not None and process.poll() is None, said.read_text()
        engine.process.kill()
        engine.kill("supervisord")
        engine.process.wait()
        engine.start()
        assert process.wait(LIMIT_S) == 0, said.read_text()
    finally:
        process.kill()

    found = PLACED.search(said.read_text())
    assert found, said.read_text()
    with httpx.Client(base_url=engine.url, timeout=30) as http:
        orders = http.get("/api/orders", params={"limit": 200}).json()["orders"]
        account = http.get("/api/account").json()
    assert account["openOrders"] == 0 and account["cancelAfter"] is None
    # The bot counts an event that follows the one before it, so a lost or a doubled one is seen in the sum.
    assert (int(found[1]), int(found[2])) == (len(orders), sum(order["seq"] for order in orders))
    assert {order["status"] for order in orders} >= {"confirmed", "cancelled"}
    [[gain]] = [re.findall(r"that is a gain of (\S+)", said.read_text())]
    assert Decimal(gain).is_finite()
