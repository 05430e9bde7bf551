"""The examples of docs/webhooks.md receive what the sender sends, and refuse what it has not signed."""

import json
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pytest_django.fixtures import Settings
from werkzeug.serving import make_server

from orders.ledger.statements import Connection
from tests.engine import BASE_DIR, free_port
from tests.integration.test_webhooks import LIMIT_S, LOOPBACK, all_delivered, confirmed, sending
from tests.serving import Asked, Said, serving
from tests.waiting import until
from webhooks import commands
from webhooks.models import Endpoint

MODULES = BASE_DIR / "node_modules"
ENDS = ("order.confirmed",)
KEY = "whsec_" + "A" * 32
"""Of nobody, until the webhook is made."""


def examples(language: str) -> list[str]:
    text = (BASE_DIR / "docs" / "webhooks.md").read_text()
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@contextmanager
def listening(app: Any) -> Iterator[str]:
    """The URL of a WSGI application."""
    server = make_server("127.0.0.1", 0, app)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()


@pytest.fixture
def listen(settings: Settings, account: int) -> Callable[[str], tuple[Endpoint, str]]:
    """Makes a webhook; with its secret."""
    settings.WEBHOOK_ALLOWED_NETWORKS = LOOPBACK
    return lambda url: commands.create(account, f"{url}/hook", ENDS)


def forged(url: str) -> int:
    headers = {"webhook-id": "a.1", "webhook-timestamp": "1795741662", "webhook-signature": "v1,AAAA"}
    return httpx.post(f"{url}/hook", json={"type": "order.confirmed"}, headers=headers).status_code


def test_flask_and_the_relay(
    database: Connection, account: int, listen: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    receive, relay = examples("python")
    names: dict[str, Any] = {"__name__": __name__}
    exec(receive.replace("whsec_…", KEY), names)
    sentences: list[tuple[str, Any]] = []

    def chat(asked: Asked) -> Said:
        sentences.append((asked.path, json.loads(asked.body)))
        return Said(b"{}")

    with listening(names["app"]) as url, serving(chat) as chats:
        _, secret = listen(url)
        names["hook"] = type(names["hook"])(secret)
        with sending():
            order = confirmed(database, account)[0]
            until(lambda: all_delivered(1), LIMIT_S)
        assert forged(url) == 400
        said = capsys.readouterr().out
        assert said.startswith("order.confirmed {") and str(order.id) in said

        exec(re.sub(r"https://[\w.]+/", f"{chats}/", relay), names)
        message = {"type": "order.confirmed", "data": {"orderId": "a", "order": {"amount": "1", "tokenIn": "SOL"}}}
        for name in names["SEND"]:
            names["SEND"]["slack"] = names["SEND"][name]
            names["tell"](message)
    bodies = [body for _, body in sentences]
    assert [body.get("text") or body.get("content") for body in bodies] == ["order.confirmed: 1 SOL →  a"] * 3
    assert "chat_id" in bodies[2] and sentences[2][0].endswith("/sendMessage")


@pytest.mark.skipif(
    not (shutil.which("node") and (MODULES / "standardwebhooks").exists()), reason="no Node, or nothing installed"
)
def test_node(database: Connection, account: int, listen: Any, tmp_path: Path) -> None:
    [receive] = examples("js")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    _, secret = listen(url)
    (tmp_path / "node_modules").symlink_to(MODULES)
    script = tmp_path / "hook.mjs"
    script.write_text(receive.replace("whsec_…", secret).replace("3000", f'{port}, "127.0.0.1"'))
    with subprocess.Popen(["node", script], stdout=subprocess.PIPE, text=True) as node:
        try:
            with sending():
                order = confirmed(database, account)[0]
                until(lambda: all_delivered(1), LIMIT_S)
            assert forged(url) == 400
        finally:
            node.terminate()
        said = node.communicate()[0]
    assert said.startswith("order.confirmed {") and str(order.id) in said
