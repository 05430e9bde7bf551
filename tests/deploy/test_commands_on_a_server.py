"""The commands beside an engine that is set up as on a server: HTTPS by a proxy in front, another name than its address."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from orders.management import client
from tests.engine import BASE_DIR, free_port
from tests.waiting import until

DONE, FAILED, REFUSED, UNREACHABLE = 0, 1, 2, 3
NAME = "engine.example.com"


class Server:
    """One web process on a database of its own."""

    def __init__(self, home: Path) -> None:
        self.port = free_port()
        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
            connection.execute("DROP DATABASE IF EXISTS commands")
            connection.execute("CREATE DATABASE commands")
        self.environment = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": os.environ["DATABASE_URL"].replace("/orderengine?", "/commands?"),
            "REDIS_URL": os.environ["REDIS_URL"],
            "SECRET_KEY": "commands-" * 8,
            "DATA_DIR": str(home),
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "ALLOWED_HOSTS": NAME,
            "HTTPS": "true",
            "FORWARDED_ALLOW_IPS": "127.0.0.1",
            "LOG_FORMAT": "json",
        }
        assert self.manage("prepare", "--no-wait").returncode == 0
        with (home / "web.log").open("wb") as log:
            command = [sys.executable, "-m", "orderengine.container", "web"]
            self.web = subprocess.Popen(command, cwd=BASE_DIR, env=self.environment, stdout=log, stderr=log)
        until(self.answers, 60, 0.2)

    def answers(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/healthz", headers={"Host": NAME}).status_code == 200
        except httpx.HTTPError:
            return False

    def manage(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "manage.py", *arguments]
        given = self.environment | environment
        return subprocess.run(command, cwd=BASE_DIR, env=given, capture_output=True, text=True, timeout=90)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
    try:
        yield server
    finally:
        server.web.terminate()
        server.web.wait(30)


def printed(done: "subprocess.CompletedProcess[str]") -> list[Any]:
    assert done.returncode == DONE, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_orders_are_placed_listed_and_cancelled_on_the_host(server: Server) -> None:
    [placed] = printed(server.manage("order", "SOL", "USDC", "1", "--limit", "900", "--json"))
    [listed] = printed(server.manage("orders", "--json"))
    assert listed["orderId"] == placed["orderId"]
    [cancelled] = printed(server.manage("orders", placed["orderId"], "--cancel", "--json"))
    assert cancelled["status"] == "cancelled"
    assert printed(server.manage("dead-letters", "--json")) == []


def test_a_stream_is_read_on_the_host(server: Server) -> None:
    """A cancelled order's stream has its end, so that the command ends by itself."""
    [placed] = printed(server.manage("order", "SOL", "USDC", "1", "--limit", "900", "--json"))
    with subprocess.Popen(
        [sys.executable, "manage.py", "orders", "--watch", "--json"],
        cwd=BASE_DIR,
        env=server.environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as watching:
        try:
            assert watching.stdout is not None
            watching.stdout.readline()
            server.manage("orders", placed["orderId"], "--cancel")
            seen = next(line for line in map(json.loads, watching.stdout) if line.get("type") == "event")
            assert (seen["orderId"], seen["status"]) == (placed["orderId"], "cancelled")
        finally:
            watching.kill()


@pytest.mark.parametrize("url", ["http://localhost:{port}", "http://127.0.0.1:{port}/"])
def test_they_work_in_a_container_that_knows_where_the_web_process_is(server: Server, url: str) -> None:
    given = {"HOST": "0.0.0.0", "PORT": "1", "ORDERENGINE_URL": url.format(port=server.port)}
    assert server.manage("orders", "--json", **given).returncode == DONE


def test_an_engine_on_all_addresses_is_reached_on_loopback(server: Server) -> None:
    assert server.manage("orders", "--json", HOST="0.0.0.0").returncode == DONE


def test_the_engine_s_own_key_goes_to_no_other_engine(server: Server) -> None:
    """`localhost.example` is not one of its names, so the command has no key for it, and nothing to forward."""
    done = server.manage("orders", "--url", "http://[::1]:9", "--json")
    assert done.returncode == UNREACHABLE
    with override_settings(ALLOWED_HOSTS=[NAME, "web"], HTTPS=True, HOST="127.0.0.1"):
        assert client.is_own(client.parts("http://web:8000")) and client.is_own(client.parts(f"https://{NAME}"))
        assert not client.is_own(client.parts("https://other.example.com"))
        assert client.public_name(client.parts("http://web:8000")) == NAME
        assert client.public_name(client.parts(f"https://{NAME}")) is None
        assert client.public_name(client.parts("http://other.example.com")) is None


REFUSALS = [
    ("order", "SOL", "USDC", "1", "--expires-in", "9999999d"),
    ("order", "SOL", "USDC", "1", "--expires-in", "999999999d"),
    ("order", "SOL", "USDC", "1", "--expires-in", "²d"),
    ("order", "SOL", "USDC", "1", "--expires-in", ""),
    ("order", "SOL", "USDC", "\udcff"),
    ("orders", "../pairs"),
    ("orders", "a b/c?d"),
    ("orders", "\udcff\udcfe"),
    ("orders", "--key", "ключ"),
    ("orders", "--key", "a\nb"),
    ("quotes", "../orders"),
    ("quotes", "--watch", "a b"),
    ("dead_letters", "requeue"),
    ("dead_letters", "requeue", "99999999999999999999999999"),
]
URLS = ("nonsense", "http://[", "http://host:99999", "http://ex ample", "ftp://127.0.0.1")


@pytest.mark.parametrize("arguments", [*REFUSALS, *(("orders", "--url", url) for url in URLS)], ids=ascii)
def test_what_cannot_be_done_is_said_in_one_line(server: Server, arguments: tuple[str, ...]) -> None:
    """A `CommandError` is what `manage.py` prints as one line; its exit code says who can act."""
    name, *given = arguments
    url = [] if "--url" in given else ["--url", f"http://127.0.0.1:{server.port}"]
    with override_settings(ALLOWED_HOSTS=[NAME], HTTPS=True), pytest.raises(CommandError) as raised:
        call_command(name, *given, *url, stderr=io.StringIO())
    assert raised.value.returncode in (REFUSED, UNREACHABLE) and len(str(raised.value).splitlines()) == 1


def test_manage_py_prints_that_line_and_no_traceback(server: Server) -> None:
    done = server.manage("order", "SOL", "USDC", "1", "--expires-in", "9999999d")
    assert done.returncode == REFUSED and len(done.stderr.strip().splitlines()) == 1, done.stderr
