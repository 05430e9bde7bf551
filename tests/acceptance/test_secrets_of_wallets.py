"""An engine signs with keys, fails with them, and writes none of them anywhere."""

import base64
import gzip
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import base58
import httpx
import pytest
from solders.keypair import Keypair

from tests.engine import BASE_DIR, Engine
from tests.serving import Asked, Said, serving
from wallets.keys import sealed

STARTED_S = 60


class Sentry:
    """Keeps what is reported."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.url = ""

    def answer(self, asked: Asked) -> Said:
        packed = asked.headers.get("Content-Encoding") == "gzip"
        self.bodies.append(gzip.decompress(asked.body) if packed else asked.body)
        return Said(b"{}")

    @property
    def dsn(self) -> str:
        return self.url.replace("//", "//key@") + "/1"


@pytest.fixture
def sentry() -> Iterator[Sentry]:
    made = Sentry()
    with serving(made.answer) as made.url:
        yield made


def forms_of(secret: bytes) -> list[bytes]:
    """Every way in which bytes may be written down, without what depends on where they begin and end."""
    numbers = [str(byte) for byte in secret]
    texts = [
        secret.hex(),
        ", ".join(numbers),
        ",".join(numbers),
        repr(secret)[2:-1],
        base64.b64encode(secret).decode()[:40],
    ]
    return [secret, *(text.encode() for text in texts)]


def secrets_of(pair: Keypair) -> list[bytes]:
    whole = bytes(pair)
    return [*forms_of(whole[:32]), base58.b58encode(whole), base58.b58encode(whole[:32])]


def files_below(folder: Path, but: Path) -> Iterator[Path]:
    for file in folder.rglob("*"):
        if file.is_file() and but not in file.parents:
            yield file


def manage(engine: Engine, *arguments: str) -> str:
    command = [sys.executable, "manage.py", "wallets", *arguments]
    done = subprocess.run(command, cwd=BASE_DIR, env=engine.env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip() + done.stderr


def until(true: Callable[[], Any], what: str) -> Any:
    ends = time.monotonic() + STARTED_S
    while not (found := true()):
        assert time.monotonic() < ends, what
        time.sleep(0.1)
    return found


def environments(engine: Engine) -> dict[str, bytes]:
    found = {}
    for file in (engine.data_dir / "run").glob("*.pid"):
        found[file.stem] = Path(f"/proc/{file.read_text().strip()}/environ").read_bytes()
    return found


def test_no_secret_is_written_anywhere(start_engine: Callable[..., Engine], sentry: Sentry, tmp_path: Path) -> None:
    encryption = sealed.made()
    engine = start_engine(
        EXECUTION_MODE="localnet", WALLET_ENCRYPTION_KEYS=encryption, SENTRY_DSN=sentry.dsn, LOG_LEVEL="DEBUG"
    )
    with client_of(engine) as client:
        look_everywhere(engine, client, sentry, tmp_path, encryption)


def client_of(engine: Engine) -> httpx.Client:
    key = engine.credentials["apiKey"]
    return httpx.Client(base_url=engine.url, headers={"Authorization": f"Bearer {key}"}, timeout=30)


def look_everywhere(engine: Engine, client: httpx.Client, sentry: Sentry, tmp_path: Path, encryption: str) -> None:
    pairs = {name: Keypair() for name in ("file", "row", "open", "broken")}
    said = ""
    for name, pair in pairs.items():
        file = tmp_path / f"{name}.json"
        file.write_text(json.dumps([*bytes(pair)]))
        file.chmod(0o600)
        source = "row" if name == "row" else "file"
        said += manage(engine, "import", "demo", str(file), "--name", name, "--source", source)
    keys = engine.data_dir / "keys"
    (keys / f"{pairs['open'].pubkey()}.json").chmod(0o644)
    broken = keys / f"{pairs['broken'].pubkey()}.json"
    broken.write_text(broken.read_text()[:-1])

    wallets = {wallet["name"]: wallet for wallet in client.get("/api/wallets").json()["wallets"]}
    ended = {}
    for name, pair in pairs.items():
        path = f"/api/wallets/{wallets[name]['id']}/airdrop"
        assert client.post(path, json={"token": "SOL", "amount": "10"}).status_code == 200
        held = until(partial(sol_of, client, str(pair.pubkey())), "the money is there")
        assert held == "10"
        body = {"tokenIn": "SOL", "tokenOut": "USDC", "amount": "1", "wallet": str(pair.pubkey())}
        order = client.post("/api/orders/execute", json=body).json()["orderId"]
        ended[name] = until(partial(final, client, order), f"the order of {name} ends")
    assert [ended[name]["failure"] for name in ("file", "row")] == [None, None]
    assert [ended[name]["failure"]["code"] for name in ("open", "broken")] == ["WALLET_KEY_UNUSABLE"] * 2
    until(
        lambda: any(str(pairs["broken"].pubkey()).encode() in body for body in sentry.bodies), "the failure is reported"
    )

    # Whoever does not sign cannot decrypt, apart from supervision, which starts who does; and no core of a signer is written.
    holders = [name for name, variables in environments(engine).items() if encryption.encode() in variables]
    assert sorted(name.partition("-")[0] for name in holders) == ["orders", "supervisord"]
    pid = (engine.data_dir / "run" / "orders-1.pid").read_text().strip()
    assert "Max core file size        0                    0" in Path(f"/proc/{pid}/limits").read_text()

    credentials = engine.credentials["admin"]
    client.get("/login")
    client.post("/login", data=credentials, headers={"X-CSRFToken": client.cookies["csrftoken"], "Referer": engine.url})
    pages = [
        client.get(path)
        for path in ("/admin/wallets/wallet/", "/api/wallets", "/api/schema", "/api/orders", "/metrics")
    ]
    assert str(pairs["row"].pubkey()) in pages[0].text
    order = ended["row"]["orderId"]
    pages += [client.get(path) for path in (f"/api/orders/{order}/events", f"/admin/orders/order/{order}/change/")]
    manage(engine, "list")
    engine.stop()

    hidden = [form for pair in pairs.values() for form in secrets_of(pair)]
    hidden += [encryption.encode(), *forms_of(base64.b64decode(encryption))]
    written = {str(file): file.read_bytes() for file in files_below(engine.data_dir, keys)}
    written |= {"output": engine.said().encode(), "commands": said.encode()}
    written |= {f"page {n}": page.content for n, page in enumerate(pages)}
    written |= {f"report {n}": body for n, body in enumerate(sentry.bodies)}
    assert len(written) > 100 and any("base/" in name for name in written)  # Postgres' own files are among them.
    assert [(name, form) for name, content in written.items() for form in hidden if form in content] == []


def sol_of(client: httpx.Client, address: str) -> str | None:
    for wallet in client.get("/api/wallets").json()["wallets"]:
        if wallet["address"] == address and wallet["balances"][0]["amount"] != "0":
            return str(wallet["balances"][0]["amount"])
    return None


def final(client: httpx.Client, order: str) -> dict[str, Any] | None:
    found: dict[str, Any] = client.get(f"/api/orders/{order}").json()
    return found if found["status"] in ("confirmed", "failed") else None
