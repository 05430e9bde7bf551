"""The files for a host without containers, by the tools that will read them."""

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from orderengine import container
from tests.engine import BASE_DIR

SYSTEMD = BASE_DIR / "deploy" / "systemd"
ANALYZE, LOGROTATE = (
    shutil.which("systemd-analyze"),
    shutil.which("logrotate") or shutil.which("logrotate", path="/usr/sbin"),
)
INSTANCES = {
    "orderengine@.service": "orderengine@orders.service",
    "orderengine-web@.service": "orderengine-web@8001.service",
}
HARDENED = {
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "CapabilityBoundingSet": "",
}


def unit(file: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(file)
    return parser


@pytest.mark.skipif(not ANALYZE, reason="no systemd-analyze: apt-get install systemd")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """The programs are not installed here, so that something else stands in their place."""
    for file in SYSTEMD.iterdir():
        text = file.read_text().replace("/opt/orderengine/bin/orderengine", "/bin/true")
        (tmp_path / INSTANCES.get(file.name, file.name)).write_text(text)
    units = [str(file) for file in tmp_path.iterdir() if file.suffix in (".service", ".target", ".timer")]
    done = subprocess.run([str(ANALYZE), "verify", *units], capture_output=True, text=True, check=False)
    complaints = [line for line in done.stderr.splitlines() if "orderengine" in line and "not found" not in line]
    assert done.returncode == 0 and complaints == [], done.stderr


@pytest.mark.parametrize("file", sorted(SYSTEMD.glob("*.service")), ids=lambda file: file.name)
def test_every_service_is_hardened(file: Path) -> None:
    service = unit(file)["Service"]
    assert {name: service.get(name) for name in HARDENED} == HARDENED
    assert service["User"] in ("orderengine", "postgres")
    if "@" in file.name:
        assert int(service["LimitNOFILE"]) >= 65536 and service["Restart"] == "always" and service["MemoryMax"]
        assert "orderengine-migrate.service" in unit(file)["Unit"]["After"]


def test_the_target_starts_every_process_once() -> None:
    wanted = unit(SYSTEMD / "orderengine.target")["Unit"]["Wants"].split()
    names = {found[1] for name in wanted if (found := re.fullmatch(r"orderengine@(\w+)\.service", name))}
    assert names | {"web", "migrate"} == set(container.NAMES)
    assert sum(name.startswith("orderengine-web@") for name in wanted) == 2


@pytest.mark.skipif(not LOGROTATE, reason="no logrotate: apt-get install logrotate")
def test_logrotate_takes_its_file() -> None:
    command = [str(LOGROTATE), "-d", str(BASE_DIR / "deploy/logrotate/orderengine")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (
        "error" not in (done.stdout + done.stderr).replace("user orderengine", "").lower() or "unknown" in done.stderr
    )
