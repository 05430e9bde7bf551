"""The files for a host without containers, by the tools that will read them."""

import configparser
import grp
import os
import pwd
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
WALLETS = SYSTEMD / "orderengine@orders.service.d" / "wallets.conf"
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
    for file in filter(Path.is_file, SYSTEMD.iterdir()):
        text = file.read_text().replace("/opt/orderengine/bin/orderengine", "/bin/true")
        (tmp_path / INSTANCES.get(file.name, file.name)).write_text(text)
    shutil.copytree(WALLETS.parent, tmp_path / WALLETS.parent.name)
    units = [str(file) for file in tmp_path.iterdir() if file.suffix in (".service", ".target", ".timer")]
    done = subprocess.run([str(ANALYZE), "verify", *units], capture_output=True, text=True, check=False)
    complaints = [line for line in done.stderr.splitlines() if "orderengine" in line and "not found" not in line]
    assert done.returncode == 0 and complaints == [], done.stderr


MAX_EXPOSURE = 2.0
"""Of ten, as `systemd-analyze security` counts; a unit without hardening has 9.6."""


@pytest.mark.skipif(not ANALYZE, reason="no systemd-analyze: apt-get install systemd")
@pytest.mark.parametrize("file", sorted(SYSTEMD.glob("*.service")), ids=lambda file: file.name)
def test_systemd_finds_little_exposure(file: Path, tmp_path: Path) -> None:
    there = tmp_path / INSTANCES.get(file.name, file.name)
    there.write_text(file.read_text().replace("/opt/orderengine/bin/orderengine", "/bin/true"))
    command = [
        str(ANALYZE),
        "security",
        "--offline=yes",
        "--no-pager",
        f"--threshold={MAX_EXPOSURE * 10:.0f}",
        str(there),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr


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


def test_only_order_workers_see_keys_of_wallets() -> None:
    """That it holds for running units is tried in `tests/deploy/stack`."""
    for file in SYSTEMD.glob("*.service"):
        service = unit(file)["Service"]
        if service["User"] == "orderengine":
            assert service["InaccessiblePaths"] == "-/var/lib/orderengine/keys", file.name
    drop_in = unit(WALLETS)["Service"]
    assert drop_in["InaccessiblePaths"] == "" and "/etc/orderengine/wallet_encryption_keys" in drop_in["LoadCredential"]
    for file in SYSTEMD.iterdir():
        if file.is_file() and file.name != "orderengine-manage":
            assert "wallet_encryption_keys" not in file.read_text(), file.name


@pytest.mark.skipif(not LOGROTATE, reason="no logrotate: apt-get install logrotate")
def test_logrotate_takes_its_file(tmp_path: Path) -> None:
    """Under a user that is there; the real one is on a server (`tests/deploy/stack`)."""
    user, group = (pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name)
    text = (BASE_DIR / "deploy/logrotate/orderengine").read_text()
    assert "su orderengine orderengine" in text
    log = tmp_path / "log" / "web.log"
    log.parent.mkdir()
    log.write_text("{}\n")
    file = tmp_path / "orderengine"
    file.write_text(
        text.replace("su orderengine orderengine", f"su {user} {group}").replace("/var/lib/orderengine", str(tmp_path))
    )
    command = [str(LOGROTATE), "-d", "-s", str(tmp_path / "state"), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and not re.search(r"error|note:|unknown", done.stderr), done.stderr
    assert f"considering log {log}" in done.stderr
