"""Prometheus' alerts and what arrives at the receiver, watched while causes come and go."""

import json
import threading
import time
from contextlib import ExitStack
from typing import Any

import httpx
import yaml

from tests.deploy.machine.server import Server
from tests.engine import BASE_DIR
from tests.serving import Asked, Said, serving
from tests.waiting import until

PROMETHEUS = "http://127.0.0.1:9090"
RECEIVER = 9099
RULES = BASE_DIR / "deploy" / "prometheus" / "alerts.yml"


def rules() -> list[dict[str, Any]]:
    [group] = yaml.safe_load(RULES.read_text())["groups"]
    return list(group["rules"])


def shortened(text: str) -> str:
    """The shipped rules with waits of a second; the expressions stay as they are."""
    document = yaml.safe_load(text)
    for rule in document["groups"][0]["rules"]:
        rule["for"] = "1s"
    short = yaml.safe_dump(document)
    assert [rule["expr"] for rule in yaml.safe_load(short)["groups"][0]["rules"]] == [rule["expr"] for rule in rules()]
    return short


class Watch:
    """When each alert fired and when it was gone, by Prometheus' word, asked twice a second."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.received: set[tuple[str, str]] = set()
        """What Alertmanager sent: (alert, firing or resolved)."""
        self._receiver = ExitStack()
        self._http = httpx.Client(base_url=PROMETHEUS, timeout=10)
        self.firing: set[str] = set()
        self.caused: dict[str, tuple[str, float]] = {}
        self.fired: dict[str, float] = {}
        self.mended: dict[str, float] = {}
        self.resolved: dict[str, float] = {}
        self._ended = threading.Event()
        self._asking = threading.Thread(target=self._ask)

    def start(self) -> None:
        """Prometheus, Alertmanager and the exporter by the documented block; then the shorter waits."""
        url = f"http://127.0.0.1:{RECEIVER}/"
        self._server.machine.run(
            f"chmod u+w /etc/orderengine/secrets/alert_webhook_url; echo {url} > /etc/orderengine/secrets/alert_webhook_url"
        )
        self._server.follow(self._server.monitoring())
        etc = self._server.machine.root / "etc/prometheus"
        (etc / "alerts.yml").write_text(shortened((etc / "alerts.yml").read_text()))
        self._server.machine.run(
            "sed -i 's/_interval: .*/_interval: 1s/' /etc/prometheus/prometheus.yml\n"
            "sed -i 's/\\(group_wait\\|group_interval\\): .*/\\1: 1s/' /etc/prometheus/alertmanager.yml\n"
            "promtool check config /etc/prometheus/prometheus.yml\n"
            "systemctl restart prometheus prometheus-alertmanager\n"
        )
        until(lambda: self._server.machine.run(f"curl -fs {PROMETHEUS}/-/ready", check=False).returncode == 0, 60, 0.5)
        self._receiver.enter_context(serving(self._receive, port=RECEIVER))
        self._asking.start()

    def stop(self) -> None:
        self._ended.set()
        self._receiver.close()
        self._asking.join()
        self._http.close()

    def _receive(self, asked: Asked) -> Said:
        alerts = json.loads(asked.body)["alerts"]
        self.received |= {(alert["labels"]["alertname"], alert["status"]) for alert in alerts}
        return Said()

    def value(self, expression: str) -> list[Any]:
        """[{metric, value}] of an instant query."""
        return list(self._http.get("/api/v1/query", params={"query": expression}).json()["data"]["result"])

    def _ask(self) -> None:
        while not self._ended.wait(0.5):
            try:
                alerts = self._http.get("/api/v1/alerts").json()["data"]["alerts"]
            except (httpx.HTTPError, ValueError):
                continue
            now = time.monotonic()
            self.firing = {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}
            for name in self.firing:
                if name in self.caused:
                    self.fired.setdefault(name, now)
            for name in self.mended:
                if name in self.fired and name not in self.firing:
                    self.resolved.setdefault(name, now)

    def cause(self, cause: str, *names: str) -> None:
        """What follows is `cause`; none of them fires yet."""
        until(lambda: not self.firing & set(names), 120, 0.5)
        for name in names:
            self.caused[name] = (cause, time.monotonic())

    def fire(self, *names: str, limit_s: float = 120) -> None:
        """Waits until all of them do."""
        try:
            until(lambda: set(names) <= set(self.fired), limit_s, 0.5)
        except AssertionError:
            missing = set(names) - set(self.fired)
            asked = {
                rule["alert"]: self.value(rule["expr"].split(" > ")[0]) for rule in rules() if rule["alert"] in missing
            }
            raise AssertionError(f"silent: {missing}\n{asked}") from None

    def mend(self, *names: str) -> None:
        for name in names:
            self.mended[name] = time.monotonic()

    def row(self, name: str) -> str:
        cause, began = self.caused[name]
        fired = f"{self.fired[name] - began:.0f} s" if name in self.fired else "silent"
        gone = f"{self.resolved[name] - self.mended[name]:.0f} s" if name in self.resolved else "still firing"
        return f"| {name} | {cause} | {fired} | {gone} |"
