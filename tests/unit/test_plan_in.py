"""Plans as clients write them: what the documentation shows is read, and what it means."""

import re
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from orders.plans.bracket import widened
from orders.plans.plan_in import BracketIn, ScheduleIn, legs_of, parse_plan

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "plans.md"


def test_the_examples_of_the_documentation_are_plans() -> None:
    bracket, schedule = (
        parse_plan(text.encode()) for text in re.findall(r"```json\n(.*?)```", DOCUMENT.read_text(), re.S)
    )
    assert isinstance(bracket, BracketIn) and bracket.exits is not None
    legs = {leg.leg: leg for leg in legs_of(bracket.exits)}
    assert list(legs) == ["tp1", "tp2", "stop"] and legs["stop"].max_slippage_bps == 1000
    assert [widened(legs["stop"], failures)[0] for failures in range(6)] == [100, 200, 400, 800, 1000, 1000]
    assert (
        isinstance(schedule, ScheduleIn) and schedule.window == timedelta(hours=1) and schedule.amount == Decimal(600)
    )
