"""The dashboard and the alerts ask for metrics that exist, and every alert has its runbook."""

import json
import re
from pathlib import Path
from typing import Any

import prometheus_client
import pytest
import yaml

from orders import metrics as order_metrics
from orders.http import metrics as endpoint
from routing import metrics as routing_metrics
from runtime import metrics as runtime_metrics
from webhooks import metrics as webhook_metrics

BASE_DIR = Path(__file__).resolve().parent.parent.parent
NAME = re.compile(r"\borderengine_\w+")


def every_metric() -> list[Any]:
    modules = (order_metrics, routing_metrics, runtime_metrics, webhook_metrics)
    return [value for module in modules for value in vars(module).values()]


def known() -> set[str]:
    """Every sample's name that a scrape can have."""
    names = set()
    for value in every_metric():
        if isinstance(value, prometheus_client.metrics.MetricWrapperBase):
            [family] = value.describe()
            suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"], "gauge": [""]}[family.type]
            names |= {family.name + suffix for suffix in suffixes}
    source = Path(endpoint.__file__).read_text()
    names |= {f"orderengine_{name}" for name in re.findall(r'(?:plain|labelled)\(\s*"(\w+)"', source)}
    return names


def dashboard() -> Any:
    return json.loads((BASE_DIR / "deploy/grafana/dashboards/orderengine.json").read_text())


def alerts() -> list[Any]:
    groups = yaml.safe_load((BASE_DIR / "deploy/prometheus/alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_every_expression_names_real_metrics() -> None:
    expressions = [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]
    expressions += [rule["expr"] for rule in alerts()]
    asked = {name for expression in expressions for name in NAME.findall(expression)}
    assert asked - known() == set()


def test_every_metric_is_on_the_dashboard_or_in_an_alert() -> None:
    text = json.dumps(dashboard()) + json.dumps(alerts())
    unseen = {name for name in known() if re.sub(r"_(bucket|sum|count|total)$", "", name) not in text}
    assert unseen == set()


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_an_alert_has_a_severity_and_a_runbook_that_exists(rule: Any) -> None:
    assert rule["labels"]["severity"] in ("page", "ticket") and rule["for"] and rule["annotations"]["summary"]
    file, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    headings = re.findall(r"^## (\w+)", (BASE_DIR / file).read_text(), re.MULTILINE)
    assert anchor in {heading.lower() for heading in headings}


def test_labels_in_expressions_are_the_metrics_own() -> None:
    labels = {metric._name: set(metric._labelnames) for metric in every_metric() if hasattr(metric, "_labelnames")}
    for rule in alerts():
        for name, asked in re.findall(r"(orderengine_\w+?)(?:_total|_bucket)?\{(\w+)", rule["expr"]):
            assert asked in labels.get(name, {"queue", "kind", "task", "dependency"}), rule["expr"]
