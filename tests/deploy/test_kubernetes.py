"""The Kubernetes manifests, against the API's schemas (kubernetes-validate ships them), and what they promise."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.engine import BASE_DIR

FOLDER = BASE_DIR / "deploy" / "kubernetes"
VERSION = "1.32"


def documents() -> list[Any]:
    files = [file for file in sorted(FOLDER.glob("*.yaml")) if file.name != "kustomization.yaml"]
    return [document for file in files for document in yaml.safe_load_all(file.read_text())]


def of(kind: str) -> dict[str, Any]:
    return {document["metadata"]["name"]: document for document in documents() if document["kind"] == kind}


def pod(document: Any) -> Any:
    return document["spec"]["template"]["spec"]


@pytest.mark.parametrize("document", documents(), ids=lambda one: f"{one['kind']}-{one['metadata']['name']}")
def test_a_manifest_is_of_its_schema(document: Any) -> None:
    validate = pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate")
    validate.validate(document, VERSION, strict=True)


def test_every_file_is_applied() -> None:
    listed = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"]
    assert set(listed) == {file.name for file in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}


def test_pods_are_closed_bounded_and_watched() -> None:
    for name, document in (of("Deployment") | of("Job")).items():
        spec = pod(document)
        [container] = spec["containers"]
        assert spec["securityContext"]["runAsNonRoot"] and not spec["automountServiceAccountToken"], name
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name
        assert container["resources"]["limits"]["memory"] and container["resources"]["requests"]["cpu"], name
        assert not any("value" in variable and "@" in variable["value"] for variable in container.get("env", [])), name
        if document["kind"] == "Deployment":
            assert container["startupProbe"] and container["livenessProbe"], name


def test_there_is_one_beat_and_everything_else_survives_a_node() -> None:
    deployments, budgets = of("Deployment"), of("PodDisruptionBudget")
    assert set(deployments) == {"web", "orders", "quotes", "limit", "sniper", "dbsync", "beat", "webhooks"}
    assert deployments["beat"]["spec"]["replicas"] == 1 and deployments["beat"]["spec"]["strategy"] == {
        "type": "Recreate"
    }
    for name in set(deployments) - {"beat"}:
        assert deployments[name]["spec"]["replicas"] >= 2 and budgets[name]["spec"]["minAvailable"] == 1
    assert "beat" not in budgets


def test_only_the_migration_has_the_owner_s_secret() -> None:
    with_owner = {
        name
        for name, document in (of("Deployment") | of("Job")).items()
        if any(volume.get("secret", {}).get("secretName") == "orderengine-owner" for volume in pod(document)["volumes"])
    }
    assert with_owner == {"migrate"}


def test_only_order_workers_see_keys_of_wallets() -> None:
    secrets = {
        name: {volume["secret"]["secretName"] for volume in pod(document)["volumes"] if "secret" in volume}
        for name, document in (of("Deployment") | of("Job")).items()
    }
    assert {name for name, given in secrets.items() if "orderengine-wallets" in given} == {"orders"}


def test_orders_scale_by_the_age_of_the_queue() -> None:
    [metric] = of("HorizontalPodAutoscaler")["orders"]["spec"]["metrics"]
    assert metric["external"]["metric"]["name"] == "orderengine_oldest_unclaimed_seconds"
    assert pod(of("Deployment")["orders"])["terminationGracePeriodSeconds"] > 5


def test_what_is_for_the_operator_has_no_path_from_outside() -> None:
    [ingress] = of("Ingress").values()
    paths = {path["path"]: path["pathType"] for path in ingress["spec"]["rules"][0]["http"]["paths"]}
    assert paths == {"/api": "Prefix", "/ws": "Prefix", "/static": "Prefix", "/healthz": "Exact", "/": "Exact"}
    assert {path.name for path in Path(FOLDER).iterdir()} >= {"network.yaml"}
