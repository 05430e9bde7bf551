"""The OpenAPI document, and an engine that keeps to it whatever it is sent."""

import os
import subprocess
import sys
from pathlib import Path

import httpx

from tests.engine import Engine

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)
EXAMPLES = int(os.environ.get("SCHEMA_EXAMPLES", "3"))
"""Drawn for each operation, beside the hundreds of cases that the schema itself gives."""


def test_every_endpoint_of_the_contract_is_described(engine: Engine) -> None:
    document = httpx.get(f"{engine.url}/api/schema", headers={"Accept": "application/json"}, timeout=30).json()

    assert document["openapi"].startswith("3.")
    wanted = {
        "/api/orders/execute": {"post"},
        "/api/orders/batch": {"post"},
        "/api/orders": {"get", "delete"},
        "/api/plans": {"get", "post"},
        "/api/plans/{plan_id}": {"get", "patch", "delete"},
        "/api/cancel-after": {"post"},
        "/api/orders/{order_id}": {"get", "delete", "patch"},
        "/api/orders/{order_id}/events": {"get"},
        "/api/orders/{order_id}/quotes": {"get"},
        "/api/dead-letters": {"get"},
        "/api/dead-letters/{letter_id}/requeue": {"post"},
        "/api/ws-ticket": {"post"},
        "/api/mock/market": {"post"},
        "/api/mock/chain": {"get"},
        "/api/localnet/fault": {"post"},
        "/api/localnet/pool": {"post"},
    }
    described = {path: set(operations) - {"parameters"} for path, operations in document["paths"].items()}
    assert {path: described.get(path) for path in wanted} == wanted


def test_nothing_that_is_sent_is_answered_with_a_fault_of_ours(engine: Engine, tmp_path: Path) -> None:
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        "run",
        f"{engine.url}/api/schema",
        f"--header=Authorization: Bearer {engine.credentials['staffApiKey']}",
        f"--checks={','.join(CHECKS)}",
        "--phases=examples,coverage,fuzzing",
        f"--max-examples={EXAMPLES}",
        "--workers=2",
        "--seed=1",
        "--no-color",
        "--request-timeout=20",
        "--suppress-health-check=all",
    ]
    run = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=540 + 30 * EXAMPLES
    )

    assert run.returncode == 0, run.stdout[-12_000:] + run.stderr[-2_000:]
    assert httpx.get(f"{engine.url}/healthz", timeout=30).status_code == 200
