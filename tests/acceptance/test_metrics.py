"""`GET /metrics` covers every process, moves with load, and the dashboards and alerts ask for nothing else."""

import time

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.engine import Engine
from tests.waiting import until

ORDER = {"tokenIn": "SOL", "tokenOut": "USDC", "amount": "1"}


def scrape(engine: Engine) -> dict[str, float]:
    """Every sample by its name and labels."""
    answer = httpx.get(f"{engine.url}/metrics", timeout=30)
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/plain")
    samples = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            samples[f"{sample.name}{{{labels}}}"] = sample.value
    return samples


def test_a_scrape_during_load_moves_across_all_processes(start_engine) -> None:  # type: ignore[no-untyped-def]
    engine: Engine = start_engine(MOCK_LATENCY="0.1", WEB_WORKERS="2", WORKERS_ORDERS="2")
    up = {f"orderengine_dependency_up{{dependency={source}}}": 1.0 for source in ("postgres", "broker", "redis")}
    until(lambda: ({"orderengine_executors_alive{}": 2.0} | up).items() <= scrape(engine).items(), 60)
    with httpx.Client(timeout=30) as client:
        for _ in range(6):
            answer = client.post(f"{engine.url}/api/orders/batch", json={"orders": [ORDER] * 50})
            assert answer.status_code == 200
        assert client.post(f"{engine.url}/api/orders/execute", json={}).status_code == 400

    def finished() -> bool:
        return scrape(engine).get("orderengine_orders_final_total{status=confirmed}", 0) >= 300

    until(finished, 60)
    after = scrape(engine)
    assert after["orderengine_orders_accepted_total{type=market}"] == 300
    assert after["orderengine_intake_answers_total{endpoint=batch,status=200}"] == 6
    assert after["orderengine_intake_answers_total{endpoint=execute,status=400}"] == 1
    assert after["orderengine_accept_to_confirm_seconds_count{}"] == 300
    for stage in ("pending", "routing", "building", "submitted"):
        assert after[f"orderengine_stage_seconds_count{{stage={stage}}}"] >= 300
    for group in ("accept", "claim", "record"):
        assert after[f"orderengine_group_commit_size_count{{group={group}}}"] >= 1
    until(lambda: scrape(engine)["orderengine_processes_alive{kind=webhooks}"] == 1, 60)
    # With nobody to be told as well.
    until(lambda: time.time() - scrape(engine)["orderengine_webhooks_turn_timestamp_seconds{}"] < 30, 60)
    old = engine.kill("orders-1")
    engine.wait_restarted("orders-1", old)
    assert scrape(engine)["orderengine_orders_final_total{status=confirmed}"] == 300, "a dead worker's count remains"
