"""Prometheus' and Alertmanager's files, by their own tools, and each alert by its condition."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.engine import BASE_DIR

PROMETHEUS = BASE_DIR / "deploy" / "prometheus"
PROMTOOL, AMTOOL = shutil.which("promtool"), shutil.which("amtool")
without_promtool = pytest.mark.skipif(not PROMTOOL, reason="no promtool: apt-get install prometheus")


def promtool(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([str(PROMTOOL), *arguments], cwd=PROMETHEUS, capture_output=True, text=True, check=False)


@without_promtool
def test_prometheus_takes_its_configuration() -> None:
    done = promtool("check", "config", "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr


@without_promtool
def test_every_alert_fires_on_its_condition_and_not_before() -> None:
    done = promtool("test", "rules", "alerts_test.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_its_condition_in_the_test() -> None:
    [group] = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
    tested = set(re.findall(r'alertname(?:="|: )(\w+)', (PROMETHEUS / "alerts_test.yml").read_text()))
    assert {rule["alert"] for rule in group["rules"]} == tested


@pytest.mark.skipif(not AMTOOL, reason="no amtool: apt-get install prometheus-alertmanager")
def test_alertmanager_takes_its_configuration(tmp_path: Path) -> None:
    """`url_file` needs Alertmanager 0.26; Debian's may be older."""
    text = (BASE_DIR / "deploy/alertmanager/alertmanager.yml").read_text()
    file = tmp_path / "alertmanager.yml"
    file.write_text(text.replace("url_file: /run/secrets/alert_webhook_url", "url: http://127.0.0.1:9/"))
    done = subprocess.run([str(AMTOOL), "check-config", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for severity in ("page", "ticket"):
        command = [str(AMTOOL), "config", "routes", "test", f"--config.file={file}", f"severity={severity}"]
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "webhook"
