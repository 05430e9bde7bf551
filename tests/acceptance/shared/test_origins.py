"""Pages elsewhere against an engine in local mode, where no key is needed: from a real browser, and header by header."""

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import sync_playwright
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.browser.conftest import chromium, flags
from tests.engine import Engine
from tests.serving import Said, serving

ORDER = {"tokenIn": "SOL", "tokenOut": "USDC", "amount": "1"}
ATTACK = """
<script>
  const say = (text) => parent.postMessage(text, "*");
  const socket = new WebSocket("WS/ws/orders");
  socket.onmessage = ({ data }) => say("socket read " + data.slice(0, 40));
  socket.onclose = ({ code }) => say("socket closed " + code);
  for (const [method, path] of [["GET", "/api/orders"], ["POST", "/api/orders/execute"]])
    fetch("HTTP" + path, { method, headers: method == "POST" ? { "Content-Type": "application/json" } : {},
                           body: method == "POST" ? '{"tokenIn":"SOL","tokenOut":"USDC","amount":"1"}' : undefined })
      .then(async (answer) => say(method + " read " + (await answer.text()).slice(0, 40)))
      .catch(() => say(method + " kept out"));
</script>
"""


@pytest.fixture
def elsewhere(engine: Engine) -> Iterator[str]:
    """A page on another port, with the attack in a sandboxed frame, whose origin is opaque."""
    attack = (
        ATTACK.replace("WS", engine.ws_url).replace("HTTP", engine.url).replace("&", "&amp;").replace('"', "&quot;")
    )
    page = (
        "<script>window.said = []; onmessage = ({ data }) => said.push(data)</script>"
        f'<iframe sandbox="allow-scripts" srcdoc="{attack}"></iframe>'
    ).encode()

    with serving(lambda _: Said(page, headers={"Content-Type": "text/html; charset=utf-8"})) as url:
        yield f"{url}/"


@pytest.mark.skipif(chromium() is None, reason="no Chromium here")
def test_a_sandboxed_frame_reads_and_orders_nothing(engine: Engine, elsewhere: str) -> None:
    before = httpx.get(f"{engine.url}/api/orders", timeout=30).json()["orders"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=flags())
        page = browser.new_page()
        page.set_default_timeout(60_000)
        page.goto(elsewhere)
        page.wait_for_function("said.length >= 3")
        said = page.evaluate("said")
        browser.close()

    assert sorted(said) == ["GET kept out", "POST kept out", "socket closed 4401"]
    after = httpx.get(f"{engine.url}/api/orders", timeout=30).json()["orders"]
    assert [order["orderId"] for order in after] == [order["orderId"] for order in before]


def origins(engine: Engine) -> dict[str, bool]:
    """Origin: whether it is the engine's own."""
    return {
        engine.url: True,
        "null": False,
        "http://[": False,
        "file://": False,
        "": False,
        f"https://127.0.0.1:{engine.port}": False,
        f"http://127.0.0.1:{engine.port + 1}": False,
        f"http://localhost:{engine.port}": False,
        "https://evil.example": False,
    }


def test_the_origin_has_to_be_ours_everywhere(engine: Engine) -> None:
    for origin, own in origins(engine).items():
        headers = {"Origin": origin}
        listed = httpx.get(f"{engine.url}/api/orders", headers=headers, timeout=30)
        placed = httpx.post(f"{engine.url}/api/orders/execute", json=ORDER, headers=headers, timeout=30)
        assert (listed.status_code, placed.status_code) == ((200, 200) if own else (401, 401)), origin
        with connect(f"{engine.ws_url}/ws/orders", additional_headers=headers, open_timeout=30, proxy=None) as socket:
            if own:
                assert '"snapshot"' in str(socket.recv(timeout=30))
                continue
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv(timeout=30)
        assert closed.value.rcvd and closed.value.rcvd.code == 4401, origin


def test_a_name_that_is_pointed_here_goes_nowhere_without_a_key(engine: Engine) -> None:
    """DNS rebinding: the page's origin and the Host agree, and name somebody else."""
    name = f"evil.example:{engine.port}"
    headers = {"Host": name, "Origin": f"http://{name}"}
    listed = httpx.get(f"{engine.url}/api/orders", headers=headers, timeout=30)
    placed = httpx.post(f"{engine.url}/api/orders/execute", json=ORDER, headers=headers, timeout=30)
    assert listed.status_code in (400, 401) and placed.status_code == 401


def test_the_answer_names_no_foreign_host(engine: Engine) -> None:
    key = {"Authorization": f"Bearer {engine.credentials['apiKey']}"}
    for host in ("evil.example", "evil.example:1", "[", "a b", "127.0.0.1@evil.example"):
        answer = httpx.post(f"{engine.url}/api/orders/execute", json=ORDER, headers=key | {"Host": host}, timeout=30)
        assert answer.status_code == 200, answer.text
        assert answer.json()["ws"] == f"ws://localhost:{engine.port}/ws/{answer.json()['orderId']}"
