"""The engine on a throwaway server, set up by the commands of docs/deploy.md and reached as its clients reach it."""

import json
import re
import shutil
import ssl
from pathlib import Path
from typing import Any

import httpx

from tests.deploy.machine import wheels
from tests.deploy.machine.documents import NAME, block, blocks
from tests.deploy.machine.machine import Machine
from tests.engine import BASE_DIR
from tests.waiting import until

HERE = "localhost"
"""Under this name Caddy is its own authority."""
URL = f"https://{HERE}"
WITHOUT_CONTAINERS = "Without containers"
CADDY_CA = "/var/lib/caddy/.local/share/caddy/pki/authorities/local/root.crt"
NGINX_CERTIFICATE = f"""
mkdir -p /etc/letsencrypt/live/{HERE} && cd /etc/letsencrypt/live/{HERE}
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={HERE} -addext subjectAltName=DNS:{HERE} \\
  -keyout privkey.pem -out fullchain.pem 2>&1
"""
"""Instead of a public authority's."""


class Server:
    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.key = self.authority = ""

    def follow(self, script: str, *, limit_s: float = 300) -> str:
        """Runs a block of the documents; installing packages of Python has this machine's network. Returns what it printed."""
        script = script.replace(NAME, HERE)
        said = ""
        if "pip install" in script:
            before, line, script = re.split(r"(.*pip install.*\n)", script)
            said = self.machine.run("cd /root\n" + before + line, outside=True, limit_s=limit_s).stdout
            script = "".join(re.findall(r"^[A-Z]+=.*\n", before, re.MULTILINE)) + script
        return said + self.machine.run("cd /root\n" + script, limit_s=limit_s).stdout

    def set_up(self, folder: Path) -> None:
        """Of the earlier version, behind Caddy."""
        for name in ("now", "before"):
            (folder / name).mkdir()
        self.give(wheels.wheel(wheels.earlier(folder / "earlier"), folder / "before"))
        self.give(wheels.wheel(BASE_DIR, folder / "now"))
        first, postgres, redis, engine, caddy, _nginx, _monitoring = blocks("deploy.md", WITHOUT_CONTAINERS)
        self.follow(first.replace("0.1.0", wheels.EARLIER_VERSION))
        self.follow(postgres)
        self.follow(redis)
        self.key = self.follow(engine).strip().splitlines()[-1]
        self.follow(caddy)
        until(lambda: self.machine.run(f"test -s {CADDY_CA}", check=False).returncode == 0, 30, 0.5)
        self.authority = self.machine.ask(f"cat {CADDY_CA}")

    def give(self, file: Path) -> None:
        shutil.copy(file, self.machine.root / "root" / file.name)

    def monitoring(self) -> str:
        return block("deploy.md", WITHOUT_CONTAINERS, "apt-get install -y prometheus")

    def nginx(self) -> None:
        """In Caddy's place."""
        self.machine.run(NGINX_CERTIFICATE)
        self.machine.run("systemctl stop caddy")
        self.follow(block("deploy.md", WITHOUT_CONTAINERS, "apt-get install -y nginx"))
        self.authority = self.machine.ask(f"cat /etc/letsencrypt/live/{HERE}/fullchain.pem")

    def caddy(self) -> None:
        """Back again."""
        self.machine.run("systemctl stop nginx; systemctl start caddy")
        self.authority = self.machine.ask(f"cat {CADDY_CA}")

    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cadata=self.authority)

    def client(self, key: str | None = None) -> httpx.Client:
        """Closed by whoever asks for it."""
        headers = {"Authorization": f"Bearer {key or self.key}"}
        return httpx.Client(base_url=URL, headers=headers, verify=self.trust(), timeout=30)

    def staff(self) -> httpx.Client:
        credentials = self.machine.root / "var/lib/orderengine/credentials.json"
        return self.client(json.loads(credentials.read_text())["staffApiKey"])

    def postgres(self, statement: str, *, port: int = 5432, database: str = "orderengine") -> str:
        """As the superuser."""
        quoted = statement.replace("'", "'\\''")
        return self.machine.ask(f"cd / && runuser -u postgres -- psql -XAtq -p {port} -d {database} -c '{quoted}'")

    def active(self, *units: str) -> bool:
        return self.machine.run(f"systemctl is-active --quiet {' '.join(units)}", check=False).returncode == 0

    def systemctl(self, *words: str) -> None:
        self.machine.run(f"systemctl {' '.join(words)}")

    def log(self, unit: str, lines: int = 30) -> str:
        return self.machine.run(f"journalctl --no-pager -n {lines} -u '{unit}'", check=False).stdout

    def ready(self, limit_s: float = 90) -> None:
        """Every process runs, and an order would be executed."""

        def answers() -> bool:
            done = self.machine.run(
                "curl -fsS http://127.0.0.1:8001/readyz && curl -fsS http://127.0.0.1:8002/readyz", check=False
            )
            return done.returncode == 0 and "degraded" not in done.stdout

        until(answers, limit_s, 1)

    def confirmed(self, client: httpx.Client, order: dict[str, Any], limit_s: float = 60) -> dict[str, Any]:
        """Places it and waits for its end."""
        answer = client.post("/api/orders/execute", json=order)
        assert answer.status_code == 200, answer.text
        url = f"/api/orders/{answer.json()['orderId']}"
        until(lambda: client.get(url).json()["status"] == "confirmed", limit_s, 0.3)
        return dict(client.get(url).json())
