"""compose.yaml and what the documents say of it, read as a reviewer reads them."""

import re
from typing import Any

import pytest
import yaml

from runtime import fleet
from tests.deploy.machine.documents import block
from tests.engine import BASE_DIR

ENGINE = {"web", "web-b", *(kind.name for kind in fleet.KINDS)}
REDIS_FIXED = {(8, 2): 10, (8, 6): 7, (8, 8): 3, (8, 10): 2}
"""Release series: the patch with the fixes of September 2026. CVE-2026-23479 (a freed client is used) is older: 8.4.3, 8.6.3."""


@pytest.fixture(scope="module")
def compose() -> Any:
    return yaml.safe_load((BASE_DIR / "compose.yaml").read_text())


@pytest.fixture(scope="module")
def services(compose: Any) -> dict[str, Any]:
    return dict(compose["services"])


def deploy() -> str:
    return (BASE_DIR / "docs/deploy.md").read_text()


def test_images_are_exact_and_can_be_fixed_by_digest(services: dict[str, Any]) -> None:
    """A digest is a registry's word, so an operator's command writes them down; a tag that moves would make that a lottery."""
    for name, service in services.items():
        image, _, tag = service["image"].rpartition(":")
        if image.startswith("orderengine:$"):
            continue
        assert re.match(r"v?\d+(\.\d+){1,2}\b", tag) and tag.count(".") >= (1 if image == "postgres" else 2), (
            f"{name}: {tag}"
        )
    assert "docker compose config --resolve-image-digests > compose.pinned.yaml" in deploy()


def test_redis_has_the_fixes_of_2026(services: dict[str, Any]) -> None:
    major, minor, patch = map(int, services["redis"]["image"].removeprefix("redis:").split("-")[0].split("."))
    assert patch >= REDIS_FIXED[major, minor]


def test_the_version_is_documented(services: dict[str, Any]) -> None:
    assert {services[name]["image"] for name in ENGINE} == {"orderengine:${VERSION:-local}"}
    assert "export VERSION=" in deploy() and "VERSION names the image" in (BASE_DIR / "compose.yaml").read_text()


def test_each_service_has_the_least_of_postgres(services: dict[str, Any]) -> None:
    """The owner's role migrates, the exporter's sees statistics, the backup's copies; nobody but Postgres has its superuser's."""
    role = {"database_url_owner": "owner", "database_url": "rows", "postgres_monitor_password": "statistics"}
    role |= {"backup_pgpass": "copies", "postgres_password": "superuser"}
    # `roles.sql` sets every role's password, so Postgres itself is given them all.
    has = {name: {role[one] for one in service.get("secrets", []) if one in role} for name, service in services.items()}
    assert {name: found for name, found in has.items() if found} == {
        **dict.fromkeys(ENGINE, {"rows"}),
        "migrate": {"owner"},
        "postgres-exporter": {"statistics"},
        "backup": {"copies"},
        "postgres": {"superuser", "statistics"},
    }
    roles = (BASE_DIR / "deploy/postgres/roles.sql").read_text()
    assert "NOSUPERUSER NOCREATEDB NOCREATEROLE" in roles and "REVOKE CREATE ON SCHEMA public FROM PUBLIC" in roles


def test_backups_are_taken_kept_and_restored_by_a_command(services: dict[str, Any]) -> None:
    """That they restore is tried in `tests/deploy/stack`."""
    backup, restore = services["backup"], services["restore"]
    assert backup["command"] == ["daily"] and backup["environment"]["BACKUP_KEEP_DAYS"] == "${BACKUP_KEEP_DAYS:-7}"
    assert "mmin -1560" in " ".join(backup["healthcheck"]["test"])
    assert (
        restore["command"] == ["restore", "latest"] and restore["secrets"] == [] and restore["profiles"] == ["restore"]
    )
    assert (
        "archive_mode=on" in services["postgres"]["command"]
        and "archive_timeout=60s" in services["postgres"]["command"]
    )
    shared = {volume.partition(":")[0] for volume in backup["volumes"]} & {
        v.partition(":")[0] for v in services["postgres"]["volumes"]
    }
    assert "backup" in shared


def test_a_restore_keeps_orders_stopped_until_the_end() -> None:
    commands = [line.split("#")[0].strip() for line in block("on-call.md", "Restore", "docker compose").splitlines()]
    [stop] = [
        n for n, line in enumerate(commands) if line.startswith("docker compose stop") and "orders" in line.split()
    ]
    starts = [n for n, line in enumerate(commands) if re.match(r"docker compose (up|start|restart)", line)]
    with_orders = [n for n in starts if "orders" in commands[n].split() or commands[n].split()[-1] in ("-d", "up")]
    restored = next(n for n, line in enumerate(commands) if "restore restore" in line)
    assert stop < restored < starts[0] and with_orders == [starts[-1]], "everything but orders is started before it"


def test_a_restore_on_a_host_keeps_orders_stopped_until_the_end() -> None:
    lines = block("on-call.md", "Restore", "systemctl stop").splitlines()
    assert "orderengine.target" in lines[0] and lines[0].startswith("systemctl stop")
    starting = [n for n, line in enumerate(lines) if "orderengine" in line and line.startswith("systemctl start")]
    assert [n for n in starting if "@orders" in lines[n] or "target" in lines[n]] == [starting[-1]]


def test_alerts_reach_a_receiver(services: dict[str, Any]) -> None:
    prometheus = yaml.safe_load((BASE_DIR / "deploy/prometheus/prometheus.yml").read_text())
    assert prometheus["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] == ["alertmanager:9093"]
    alertmanager = yaml.safe_load((BASE_DIR / "deploy/alertmanager/alertmanager.yml").read_text())
    [receiver] = alertmanager["receivers"]
    assert receiver["webhook_configs"][0]["url_file"] == "/run/secrets/alert_webhook_url"
    assert (
        "alert_webhook_url" in services["alertmanager"]["secrets"] and "egress" in services["alertmanager"]["networks"]
    )
    targets = {job["static_configs"][0]["targets"][0].partition(":")[0] for job in prometheus["scrape_configs"]}
    assert targets <= {"web-any", *services}, "Prometheus asks only what there is"


def test_sentry_and_otlp_have_a_way_out(compose: Any, services: dict[str, Any]) -> None:
    opened = yaml.safe_load((BASE_DIR / "deploy/compose/egress.yaml").read_text())["services"]
    assert set(opened) == ENGINE - {"flower"} and all("egress" in service["networks"] for service in opened.values())
    assert not compose["networks"]["egress"].get("internal") and compose["networks"]["inside"]["internal"]
    for name in ENGINE:
        assert {"SENTRY_DSN", "OTEL_EXPORTER_OTLP_ENDPOINT"} <= set(services[name]["environment"])


def test_no_password_is_on_a_command_line_or_in_the_file(compose: Any, services: dict[str, Any]) -> None:
    for name, service in services.items():
        said = " ".join(
            [*service.get("command", []), *service.get("entrypoint", []), *service["healthcheck"].get("test", [])]
        )
        without_files = re.sub(r"\$\$\(cat /run/secrets/\w+\)", "", said)
        assert not re.search(r"(?i)passw|://\S+:\S+@|-a \S|--pass", without_files.replace("REDISCLI_AUTH=", "")), name
        for key, value in service.get("environment", {}).items():
            secret = re.search(r"PASSWORD|SECRET|AUTH|TOKEN|DSN", key) and not re.search(
                r"FILE$|_SECRET$|__FILE$|ENABLED$|SENTRY_DSN", key
            )
            assert not secret, f"{name}: {key}={value}"
    assert all(set(secret) == {"file"} for secret in compose["secrets"].values())


def test_only_order_workers_see_keys_of_wallets(compose: Any, services: dict[str, Any]) -> None:
    with_secret = {name for name, service in services.items() if "wallet_encryption_keys" in service.get("secrets", [])}
    with_volume = {
        name for name, one in services.items() if any("wallet-keys:" in volume for volume in one.get("volumes", []))
    }
    assert with_secret == with_volume == {"orders"} and "wallet-keys" in compose["volumes"]
    given = services["orders"]["environment"]
    assert (
        given["WALLET_KEYS_DIR"] == "/keys"
        and given["WALLET_ENCRYPTION_KEYS_FILE"] == "/run/secrets/wallet_encryption_keys"
    )
    # A new volume has the owner of the image's folder.
    assert "-m 700 /data /keys" in (BASE_DIR / "Dockerfile").read_text()
