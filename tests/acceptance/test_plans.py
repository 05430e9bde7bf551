"""Plans on a running engine: brackets, exits of an order, trailing stops, stop-limits, schedules; over REST and WebSocket."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from websockets.sync.client import connect

from tests.acceptance.test_triggers import FINAL, Trader, until
from tests.engine import Engine

EXITS = [
    {"kind": "takeProfit", "atBps": 1000, "portionBps": 5000},
    {"kind": "takeProfit", "atBps": 2000, "portionBps": 5000},
    {"kind": "stopLoss", "atBps": 800},
]


class Planner(Trader):
    def make(self, **body: Any) -> dict[str, Any]:
        answer = self.http.post("/api/plans", json=body, headers={"Idempotency-Key": uuid4().hex})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def plan(self, plan_id: str) -> dict[str, Any]:
        return dict(self.http.get(f"/api/plans/{plan_id}").json())

    def leg(self, plan_id: str, leg: str) -> dict[str, Any]:
        return next(each for each in reversed(self.plan(plan_id)["legs"]) if each["leg"] == leg)

    def watch(self, path: str) -> Any:
        headers = {"Authorization": self.http.headers["Authorization"]}
        return connect(self.engine.ws_url + path, open_timeout=30, additional_headers=headers)

    def ended(self, plan_id: str) -> dict[str, Any]:
        until(lambda: self.plan(plan_id)["finishedAt"], f"the end of the plan {self.plan(plan_id)}")
        return self.plan(plan_id)

    def landed(self, plan: dict[str, Any]) -> list[str]:
        return [leg["leg"] for leg in plan["legs"] if leg["status"] == "confirmed"]


@pytest.fixture
def planner(engine: Engine) -> Iterator[Planner]:
    planner = Planner(engine)
    planner.price("150")
    yield planner
    planner.price("150")
    planner.move(hold=False)
    planner.close()


BUY = {"kind": "bracket", "tokenIn": "USDC", "tokenOut": "SOL", "amount": "300", "slippageBps": 300}


def test_a_bracket_buys_takes_profit_in_parts_and_stops(planner: Planner) -> None:
    made = planner.make(**BUY, exits=EXITS, clientPlanId=(name := uuid4().hex))
    assert made["kind"] == "bracket" and made["legs"][0]["leg"] == "entry"
    plan_id = made["planId"]
    until(lambda: len(planner.plan(plan_id)["legs"]) == 4, "its exits")
    bought = planner.leg(plan_id, "entry")["amountOut"]
    assert planner.leg(plan_id, "stop")["amount"] == bought, "exits are sized by what the entry brought"

    planner.price("170")
    until(lambda: planner.leg(plan_id, "tp1")["status"] == "confirmed", "the first take-profit")
    until(lambda: planner.leg(plan_id, "stop")["amount"] == planner.leg(plan_id, "tp2")["amount"], "a smaller stop")
    planner.price("120")
    plan = planner.ended(plan_id)
    assert plan["status"] == "completed" and planner.landed(plan) == ["entry", "tp1", "stop"]
    assert planner.leg(plan_id, "tp2")["status"] == "cancelled" and plan["progress"]["remaining"] == "0"
    assert plan["progress"]["sold"] == bought
    [found] = planner.http.get("/api/plans", params={"clientPlanId": name}).json()["plans"]
    assert found == plan
    events = planner.http.get(f"/api/plans/{plan_id}/events").json()["events"]
    assert [event["seq"] for event in events] == list(range(1, plan["seq"] + 1))
    assert events[-1]["status"] == "completed"


def test_an_order_with_exits_is_the_entry_of_a_bracket(planner: Planner) -> None:
    body = {"tokenIn": "USDC", "tokenOut": "SOL", "amount": "150", "slippageBps": 300, "exits": EXITS[2:]}
    key = {"Idempotency-Key": uuid4().hex}
    first = planner.http.post("/api/orders/execute", json=body, headers=key)
    again = planner.http.post("/api/orders/execute", json=body, headers=key)
    assert first.status_code == 200, first.text
    assert first.json()["orderId"] == again.json()["orderId"] and again.headers["Idempotency-Replayed"] == "true"
    other = planner.http.post("/api/orders/execute", json=body | {"amount": "151"}, headers=key)
    assert other.status_code == 409
    plan_id = first.json()["planId"]
    order = planner.http.get(f"/api/orders/{first.json()['orderId']}").json()
    assert order["planId"] == plan_id and order["leg"] == "entry"
    until(lambda: len(planner.plan(plan_id)["legs"]) == 2, "its stop")

    stop = planner.leg(plan_id, "stop")["orderId"]
    refused = planner.http.delete(f"/api/orders/{stop}")
    assert refused.status_code == 409 and refused.json()["error"]["code"] == "PART_OF_PLAN"
    amended = planner.http.patch(f"/api/plans/{plan_id}", json={"exits": [{"leg": "stop", "price": "101"}]})
    assert amended.status_code == 200, amended.text
    assert planner.leg(plan_id, "stop")["limitPrice"] == "101"
    cancelled = planner.http.delete(f"/api/plans/{plan_id}")
    assert cancelled.json()["status"] == "cancelled" and planner.leg(plan_id, "stop")["status"] == "cancelled"
    assert planner.http.delete(f"/api/plans/{plan_id}").json() == cancelled.json()


def test_an_exit_that_would_fire_at_once_is_refused(planner: Planner) -> None:
    low, high = [{"kind": "takeProfit", "price": "140"}], [{"kind": "stopLoss", "price": "160"}]
    limit = BUY | {"type": "limit", "limitPrice": "130", "priceIn": "tokenIn"}
    before = planner.http.get("/api/plans").json()
    for body in (
        BUY | {"exits": low},
        BUY | {"exits": high},
        limit | {"exits": [{"kind": "stopLoss", "price": "130"}]},
    ):
        refused = planner.http.post("/api/plans", json=body)
        assert refused.status_code == 422, refused.text
        assert refused.json()["error"]["code"] == "WOULD_TRIGGER_IMMEDIATELY"
        assert list(refused.json()["error"]["details"]) == ["exits[0]"]
    sugar = {name: value for name, value in BUY.items() if name != "kind"} | {"exits": high}
    refused = planner.http.post("/api/orders/execute", json=sugar)
    tested = planner.http.post("/api/orders/test", json=sugar)
    assert refused.status_code == tested.status_code == 422
    assert refused.json()["error"]["code"] == tested.json()["error"]["code"] == "WOULD_TRIGGER_IMMEDIATELY"
    assert planner.http.get("/api/plans").json() == before
    # What it is refused for is the price at which the entry fills.
    resting = planner.make(
        **limit, exits=[{"kind": "takeProfit", "price": "140"}, {"kind": "stopLoss", "price": "120"}]
    )
    for change in ({"leg": "tp1", "price": "125"}, {"leg": "stop", "price": "131"}):
        path = f"/api/plans/{resting['planId']}"
        refused = planner.http.patch(path, json={"exits": [change]})
        assert refused.json()["error"]["details"] == {f"exits.{change['leg']}": ["would trigger immediately"]}, change
    assert planner.http.delete(path).status_code == 200


def test_the_exits_of_an_entry_that_says_what_it_buys(planner: Planner) -> None:
    body = {name: value for name, value in BUY.items() if name != "amount"} | {"amountOut": "2", "amountInMax": "400"}
    plan_id = planner.make(**body, exits=EXITS)["planId"]
    until(lambda: len(planner.plan(plan_id)["legs"]) == 4, "its exits")
    entry, stop = planner.leg(plan_id, "entry"), planner.leg(plan_id, "stop")
    assert (entry["amount"], entry["exactOut"], entry["amountOut"], stop["amount"]) == (None, "2", "2", "2")
    cost = Decimal(planner.plan(plan_id)["progress"]["cost"])
    assert cost == Decimal(entry["amountIn"]) / 2 and 148 < cost < 160
    assert Decimal(stop["limitPrice"]) == cost * Decimal("0.92")
    refused = planner.http.patch(f"/api/plans/{plan_id}", json={"exits": [{"leg": "stop", "price": "155"}]})
    assert refused.json()["error"]["code"] == "WOULD_TRIGGER_IMMEDIATELY"
    planner.price("120")
    assert planner.landed(planner.ended(plan_id)) == ["entry", "stop"]


def test_every_window_of_a_schedule_of_short_ones_is_accounted_for(planner: Planner) -> None:
    plan_id = planner.make(
        kind="schedule", tokenIn="USDC", tokenOut="SOL", amount="50", slices=5, every="PT5S", jitterBps=9000
    )["planId"]
    done = planner.ended(plan_id)["progress"]
    assert sum(done[name] for name in ("done", "failed", "expired", "cancelled", "skipped")) == 5
    assert done["done"] >= 1, done


def test_exits_without_an_entry(planner: Planner) -> None:
    body = {"kind": "bracket", "entry": False, "tokenIn": "SOL", "tokenOut": "USDC", "amount": "1"}
    refused = planner.http.post("/api/plans", json=body | {"exits": [{"kind": "stopLoss", "price": "160"}]})
    assert refused.status_code == 422 and refused.json()["error"]["code"] == "WOULD_TRIGGER_IMMEDIATELY"
    plan_id = planner.make(**body, exits=[{"kind": "takeProfit", "price": "165"}, {"kind": "stopLoss", "atBps": 1000}])[
        "planId"
    ]
    assert [leg["leg"] for leg in planner.plan(plan_id)["legs"]] == ["tp1", "stop"]
    planner.price("166")
    plan = planner.ended(plan_id)
    assert planner.landed(plan) == ["tp1"] and plan["status"] == "completed"


def test_an_entry_may_trail(planner: Planner) -> None:
    plan = planner.make(**BUY, type="limit", trailBps=500, exits=[{"kind": "stopLoss", "atBps": 800}])
    assert plan["legs"][0]["resting"] is True, "it has no price yet that could be far"
    assert planner.http.delete(f"/api/plans/{plan['planId']}").status_code == 200


def test_a_trailing_stop_follows_the_price_up_and_fires_on_the_way_down(planner: Planner) -> None:
    order = planner.order(trailBps=500, slippageBps=500)
    assert planner.http.get(f"/api/orders/{order}").json()["limitPrice"] is None
    planner.price("170")
    # One tick moves nothing: the price has to stay.
    until(lambda: any(float(high) > 169 for high in planner.redis.hvals("trail_high:SOL-USDC")), "a new high")
    planner.price("165")
    assert planner.http.get(f"/api/orders/{order}").json()["status"] == "pending"
    planner.price("160")
    found = until(lambda: (o := planner.http.get(f"/api/orders/{order}").json())["status"] in FINAL and o, "its end")
    assert found["status"] == "confirmed"
    routing = planner.http.get(f"/api/orders/{order}/events").json()["events"][1]
    assert routing["data"]["trigger"]["kind"] == "limit" and "high" in routing["data"]["trigger"]


def test_a_stop_limit_that_has_fired_below_its_worst_price_waits_there(planner: Planner) -> None:
    order = planner.order(triggerCondition="lte", limitPrice="140", worstPrice="135", slippageBps=100)
    planner.price("120")
    waits = until(
        lambda: (o := planner.http.get(f"/api/orders/{order}").json())["triggerCondition"] == "gte" and o, "its rest"
    )
    assert waits["resting"] and waits["limitPrice"] == "135"
    planner.price("139")
    until(lambda: planner.http.get(f"/api/orders/{order}").json()["status"] == "confirmed", "its fill")


def test_an_order_of_one_attempt_never_rests(planner: Planner) -> None:
    far = planner.order(limitPrice="200", timeInForce="ioc")
    found = until(lambda: (o := planner.http.get(f"/api/orders/{far}").json())["status"] in FINAL and o, "its end")
    assert found["status"] == "expired"
    last = planner.http.get(f"/api/orders/{far}/events").json()["events"][-1]
    assert last["data"]["reason"] == "NOT_MARKETABLE"
    near = planner.order(limitPrice="140", timeInForce="fok")
    until(lambda: planner.http.get(f"/api/orders/{near}").json()["status"] == "confirmed", "its fill")


def test_a_schedule_slice_by_slice_over_its_socket(planner: Planner) -> None:
    plan_id = planner.make(kind="schedule", tokenIn="USDC", tokenOut="SOL", amount="100", slices=3, window="PT24S")[
        "planId"
    ]
    with planner.watch(f"/ws/plans/{plan_id}") as socket:
        messages = [json.loads(text) for text in socket]
    assert messages[0]["type"] == "snapshot" and messages[0]["plan"]["planId"] == plan_id
    seqs = [event["seq"] for event in messages[0]["events"]] + [message["seq"] for message in messages[1:]]
    assert seqs == list(range(1, seqs[-1] + 1)) and messages[-1]["status"] == "completed"
    plan = planner.plan(plan_id)
    done = [leg for leg in plan["legs"] if leg["status"] == "confirmed"]
    assert plan["progress"]["done"] == len(done)
    assert {leg["amount"] for leg in plan["legs"]} <= {"33.333333", "33.333334"}
    with planner.watch(f"/ws/plans/{plan_id}?after={seqs[-1] - 1}") as again:
        assert [event["seq"] for event in json.loads(again.recv())["events"]] == [seqs[-1]]


def test_a_schedule_is_paused_and_resumed(planner: Planner) -> None:
    start = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    made = planner.make(
        kind="schedule", tokenIn="USDC", tokenOut="SOL", sliceAmount="10", every="P1D", startAt=start, minPrice="0.001"
    )
    assert made["legs"] == [] and made["nextAt"] is not None
    path = f"/api/plans/{made['planId']}"
    assert planner.http.post(f"{path}/pause").json()["status"] == "paused"
    assert planner.http.post(f"{path}/resume").json()["status"] == "active"
    stale = planner.http.delete(path, headers={"If-Match": "1"})
    assert stale.status_code == 412
    assert planner.http.delete(path).json()["status"] == "cancelled"
    assert planner.http.post(f"{path}/resume").json()["error"]["code"] == "ALREADY_FINAL"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "other"}, "kind"),
        (BUY, "exits"),
        (BUY | {"exits": []}, "exits"),
        (BUY | {"exits": [{"kind": "takeProfit"}]}, "exits[0].atBps"),
        (BUY | {"exits": [{"kind": "stopLoss", "atBps": 10_000}]}, "exits[0].atBps"),
        (BUY | {"exits": [{"kind": "trailing", "trailBps": 49}]}, "exits[0].trailBps"),
        (BUY | {"exits": [{"kind": "timeLimit"}]}, "exits[0].after"),
        (BUY | {"exits": [{"kind": "stopLoss", "price": "1_000"}]}, "exits[0].price"),
        (BUY | {"exits": [{"kind": "stopLoss", "atBps": 5}] * 2}, "exits[1].kind"),
        (BUY | {"exits": [{"kind": "takeProfit", "atBps": 5, "portionBps": 6000}] * 2}, "exits"),
        (BUY | {"exits": [{"kind": "takeProfit", "price": "90"}, {"kind": "stopLoss", "price": "90"}]}, "exits"),
        (BUY | {"entry": False, "type": "sniper", "exits": EXITS}, "type"),
        ({"kind": "schedule", "tokenIn": "USDC", "tokenOut": "SOL", "amount": "1"}, "every"),
        ({"kind": "schedule", "tokenIn": "USDC", "tokenOut": "SOL", "amount": "1", "every": "PT1M"}, "amount"),
        ({"kind": "schedule", "tokenIn": "USDC", "tokenOut": "SOL", "sliceAmount": "1", "every": "PT1S"}, "every"),
        (
            {
                "kind": "schedule",
                "tokenIn": "USDC",
                "tokenOut": "SOL",
                "amount": "0.000001",
                "slices": 9,
                "window": "P1D",
            },
            "slices",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_and_makes_nothing(planner: Planner, body: dict[str, Any], field: str) -> None:
    before = planner.http.get("/api/plans").json()
    answer = planner.http.post("/api/plans", json=body)
    assert answer.status_code == 400, answer.text
    assert field in answer.json()["error"]["details"], answer.text
    assert planner.http.get("/api/plans").json() == before
