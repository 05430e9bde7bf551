"""What the proxies hide, what they pass on and in which words, by live requests to a small upstream."""

import http.client
import json
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.deploy import proxies
from tests.deploy.proxies import Proxy
from tests.engine import free_port

KINDS = [
    pytest.param("caddy", marks=pytest.mark.skipif(not proxies.CADDY, reason="no caddy: apt-get install caddy")),
    pytest.param("nginx", marks=pytest.mark.skipif(not proxies.NGINX, reason="no nginx: apt-get install nginx")),
]
CLOSED = [
    "/metrics",
    "/metrics/",
    "/metrics/x",
    "/%6Detrics",
    "/readyz",
    "/readyz/",
    "//metrics",
    "/./metrics",
    "/api/../metrics",
]
STAFF = [
    "/admin",
    "/admin/",
    "/admin/login/?next=/",
    "/admin%2Flogin/",
    "/%61dmin/",
    "//admin/",
    "/flower/",
    "/flower/api/workers",
]
OPEN = ["/", "/healthz", "/api/orders?status=pending", "/static/metrics.js", "/api/admin", "/administrator"]


class Echo(BaseHTTPRequestHandler):
    """Answers every path with 200 and what it was asked, so that whatever a proxy lets through is seen."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        received = len(self.rfile.read(length))
        body = json.dumps({"path": self.path, "headers": dict(self.headers), "bytes": received}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Server", "upstream")
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_DELETE = answer

    def log_message(self, *arguments: Any) -> None:
        pass


class Upstream(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """The proxy ends the connection when a body is too large for it."""


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    server = Upstream(("127.0.0.1", 0), Echo)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module", params=KINDS)
def proxy(request: pytest.FixtureRequest, upstream: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """One upstream answers, the other one refuses, as while it restarts."""
    with getattr(proxies, request.param)(
        tmp_path_factory.mktemp(request.param), [upstream, f"127.0.0.1:{free_port()}"]
    ) as it:
        yield it


def ask(url: str, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> tuple[int, Any, Any]:
    """The path goes out as it is written here; httpx would tidy it."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    if parts.scheme == "https":
        connection: Any = http.client.HTTPSConnection(host, port, timeout=20, context=ssl._create_unverified_context())
    else:
        connection = http.client.HTTPConnection(host, port, timeout=20)
    connection.request(
        method, path, body=body, headers={key.replace("_", "-"): value for key, value in headers.items()}
    )
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, json.loads(text) if text[:1] == b"{" else None, answer.headers


@pytest.mark.parametrize("path", CLOSED)
def test_what_is_for_the_operator_is_not_passed_on(proxy: Proxy, path: str) -> None:
    assert ask(proxy.url, path)[:2] == (404, None)


@pytest.mark.parametrize("path", OPEN + STAFF)
def test_the_rest_is_passed_on_as_it_came(proxy: Proxy, path: str) -> None:
    """These requests come from a loopback address, which counts as private."""
    status, said, _ = ask(proxy.url, path)
    assert status == 200 and said["path"].lstrip("/") == path.lstrip("/")  # The upstream below joins leading slashes.


def test_the_upstream_learns_the_client_and_the_scheme(proxy: Proxy) -> None:
    _, said, headers = ask(proxy.url, "/api/x", X_Forwarded_For="203.0.113.9", X_Forwarded_Proto="http")
    assert said["headers"]["X-Forwarded-For"] == "127.0.0.1" and said["headers"]["X-Forwarded-Proto"] == "https"
    assert said["headers"]["Host"].partition(":")[0] == proxies.DOMAIN
    assert "max-age" in headers["Strict-Transport-Security"] and headers.get("Server") not in ("Caddy", "nginx/1.22.1")


def test_plain_http_is_sent_to_tls(proxy: Proxy) -> None:
    status, _, headers = ask(f"http://{proxies.DOMAIN}:{proxy.plain_port}", "/api/orders")
    assert status in (301, 308) and headers["Location"].startswith("https://")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_upstream_that_refuses_is_passed_over(proxy: Proxy, method: str) -> None:
    answers = {ask(proxy.url, "/api/orders/execute", method, b"{}" if method == "POST" else None)[0] for _ in range(20)}
    assert answers == {200}


def test_a_body_above_the_engine_s_limit_gets_the_engine_s_answer_and_a_huge_one_none(proxy: Proxy) -> None:
    assert ask(proxy.url, "/api/x", "POST", b"x" * 300_000)[1]["bytes"] == 300_000
    try:
        status = ask(proxy.url, "/api/x", "POST", b"x" * 3_000_000)[0]
    except OSError:
        return  # The connection is closed while the body is still being sent.
    assert status in (413, 502), status


@pytest.fixture(scope="module", params=KINDS)
def strict(request: pytest.FixtureRequest, upstream: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """Staff come from elsewhere, so loopback is the world."""
    home = tmp_path_factory.mktemp(f"strict-{request.param}")
    if request.param == "caddy":
        with proxies.caddy(home, [upstream], ADMIN_FROM="203.0.113.0/24") as it:
            yield it
        return
    made = proxies.nginx_file

    def from_elsewhere(home: Path, proxy: Proxy, web: list[str]) -> Path:
        file = made(home, proxy, web)
        site = home / "orderengine.conf"
        site.write_text(site.read_text().replace("127.0.0.0/8 1;", "203.0.113.0/24 1;"))
        return file

    patch = pytest.MonkeyPatch()
    patch.setattr(proxies, "nginx_file", from_elsewhere)
    try:
        with proxies.nginx(home, [upstream]) as it:
            yield it
    finally:
        patch.undo()


@pytest.mark.parametrize("path", STAFF)
def test_pages_for_staff_are_closed_to_other_addresses(strict: Proxy, path: str) -> None:
    assert ask(strict.url, path)[:2] == (404, None)
    assert ask(strict.url, path, X_Forwarded_For="203.0.113.9")[0] == 404, "a client cannot name its own address"


@pytest.fixture(scope="module")
def tunnel(upstream: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if not proxies.CADDY:
        pytest.skip("no caddy: apt-get install caddy")
    with proxies.caddy(tmp_path_factory.mktemp("tunnel"), [upstream]) as it:
        yield it.tunnel


@pytest.mark.parametrize("path", CLOSED + STAFF)
def test_nothing_for_staff_comes_through_the_tunnel(tunnel: str, path: str) -> None:
    assert ask(tunnel, path, Host="engine.example.com")[:2] == (404, None)


def test_the_tunnel_says_who_the_client_is(tunnel: str) -> None:
    given = {"Host": "engine.example.com", "Cf_Connecting_Ip": "198.51.100.7", "X_Forwarded_For": "203.0.113.9"}
    _, said, _ = ask(tunnel, "/api/orders", **given)
    assert said["headers"]["X-Forwarded-For"] == "198.51.100.7"
    assert said["headers"]["X-Forwarded-Proto"] == "https" and said["headers"]["Host"] == "engine.example.com"
    assert ask(tunnel, "/api/x", "POST", b"x" * 300_000, Host="engine.example.com")[1]["bytes"] == 300_000


@pytest.mark.skipif(not proxies.CADDY, reason="no caddy: apt-get install caddy")
def test_caddy_takes_the_file_as_it_is(tmp_path: Path) -> None:
    command = [str(proxies.CADDY), "validate", "--adapter", "caddyfile", "--config", str(proxies.PROXY / "Caddyfile")]
    environment = proxies.caddy_environment(tmp_path, DOMAIN="engine.example.com")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "Valid configuration" in done.stdout + done.stderr, done.stderr


@pytest.mark.skipif(not proxies.NGINX, reason="no nginx: apt-get install nginx")
def test_nginx_takes_the_file(tmp_path: Path) -> None:
    file = proxies.nginx_file(tmp_path, Proxy(tmp_path), ["127.0.0.1:8001", "127.0.0.1:8002"])
    command = [str(proxies.NGINX), "-t", "-c", str(file), "-e", "stderr"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
