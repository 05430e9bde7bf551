"""Caddy and nginx with the files that are shipped, on loopback ports, as an unprivileged operator would try them."""

import contextlib
import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx

from tests.engine import free_port
from tests.waiting import until

BASE_DIR = Path(__file__).resolve().parent.parent.parent
PROXY = BASE_DIR / "deploy" / "proxy"
DOMAIN = "localhost"
CADDY = os.environ.get("CADDY") or shutil.which("caddy")
"""CADDY names another Caddy than the one on PATH."""
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


class Proxy:
    """A running proxy. `url` is where clients come in, `tunnel` where a tunnel ends (Caddy only)."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port, self.plain_port = free_port(), free_port()
        self.url = f"https://{DOMAIN}:{self.port}"
        self.tunnel = ""
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, command: list[str], environment: dict[str, str]) -> None:
        with (self.home / "proxy.log").open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        until(self.answers, 30, 0.1)

    def answers(self) -> bool:
        assert self.process and self.process.poll() is None, (self.home / "proxy.log").read_text()[-3000:]
        with contextlib.suppress(httpx.HTTPError, ssl.SSLError):
            return httpx.get(f"{self.url}/metrics", verify=False, timeout=2).status_code == 404
        return False

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def caddy_environment(home: Path, **environment: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "XDG_DATA_HOME": str(home / "data"),
        "DOMAIN": DOMAIN,
    } | environment


@contextlib.contextmanager
def caddy(home: Path, web: list[str], **environment: str) -> Iterator[Proxy]:
    assert CADDY
    proxy = Proxy(home)
    tunnel_port = free_port()
    file = home / "Caddyfile"
    # The tunnel's port is fixed in the file; two tests at once need two.
    file.write_text((PROXY / "Caddyfile").read_text().replace(":8081", f":{tunnel_port}"))
    given = caddy_environment(
        home,
        HTTP_PORT=str(proxy.plain_port),
        HTTPS_PORT=str(proxy.port),
        CADDY_ADMIN="off",
        WEB=" ".join(web),
        **environment,
    )
    proxy.tunnel = f"http://127.0.0.1:{tunnel_port}"
    try:
        proxy.start([CADDY, "run", "--config", str(file), "--adapter", "caddyfile"], given)
        yield proxy
    finally:
        proxy.stop()


def nginx_file(home: Path, proxy: Proxy, web: list[str]) -> Path:
    """The shipped file with the replacements its head asks for, in the least `http` block that takes it."""
    certificate = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    if not (home / "key.pem").exists():
        command = [*certificate, "-keyout", str(home / "key.pem"), "-out", str(home / "cert.pem")]
        subprocess.run(command, check=True, capture_output=True)
    text = (PROXY / "nginx.conf").read_text()
    for old, new in {
        "/etc/letsencrypt/live/engine.example.com/fullchain.pem": str(home / "cert.pem"),
        "/etc/letsencrypt/live/engine.example.com/privkey.pem": str(home / "key.pem"),
        "engine.example.com": DOMAIN,
        "listen 80;": f"listen 127.0.0.1:{proxy.plain_port};",
        "listen 443 ": f"listen 127.0.0.1:{proxy.port} ",
        "    listen [::]:80;\n": "",
        "    listen [::]:443 ssl http2;\n": "",
        "    server 127.0.0.1:8001 max_fails=0;\n    server 127.0.0.1:8002 max_fails=0;\n": "".join(
            f"    server {one} max_fails=0;\n" for one in web
        ),
    }.items():
        assert old in text, old
        text = text.replace(old, new)
    (home / "orderengine.conf").write_text(text)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    folders = "".join(f"{kind}_temp_path {home}/tmp-{kind};\n" for kind in kinds)
    file = home / "nginx.conf"
    file.write_text(
        f"daemon off; worker_processes 1; pid {home}/nginx.pid; error_log stderr warn;\n"
        f"{'user root;' if os.geteuid() == 0 else ''} events {{ worker_connections 1024; }}\n"
        f"http {{ access_log off; {folders} include {home}/orderengine.conf; }}\n"
    )
    return file


@contextlib.contextmanager
def nginx(home: Path, web: list[str]) -> Iterator[Proxy]:
    assert NGINX
    proxy = Proxy(home)
    file = nginx_file(home, proxy, web)
    try:
        proxy.start([NGINX, "-c", str(file), "-e", "stderr"], dict(os.environ))
        yield proxy
    finally:
        proxy.stop()
