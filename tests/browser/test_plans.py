"""Plans on the trading page: their card, their orders, their exits on the chart."""

import re
from typing import Any

import httpx
from playwright.sync_api import Page, expect

from tests.browser.conftest import PATIENCE_MS, Looks, Staff
from tests.browser.test_looks import PHONE, grave
from tests.engine import Engine
from tests.waiting import until

expect.set_options(timeout=PATIENCE_MS)
BRACKET = {
    "kind": "bracket",
    "tokenIn": "SOL",
    "tokenOut": "USDC",
    "amount": "2",
    "entry": False,
    "exits": [
        {"kind": "takeProfit", "atBps": 1000, "portionBps": 5000},
        {"kind": "takeProfit", "atBps": 2000, "portionBps": 5000},
        {"kind": "stopLoss", "atBps": 800, "maxSlippageBps": 2000},
    ],
}
TWAP = {"kind": "schedule", "tokenIn": "USDC", "tokenOut": "SOL", "amount": "100", "slices": 3, "window": "PT30M"}


def made(engine: Engine, body: dict[str, Any]) -> str:
    plan = httpx.post(f"{engine.url}/api/plans", json=body, timeout=60).raise_for_status().json()
    return str(plan["planId"])


def read(engine: Engine, plan: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{engine.url}/api/plans/{plan}", timeout=60).json()
    return found


def leg(page: Page, name: str) -> Any:
    return page.locator("#plan-legs tr").filter(has_text=name)


def opened(look: Looks, plan: str, **options: Any) -> Page:
    page = look(**({"reduced_motion": "reduce"} | options))
    page.locator(f'#plans tr[data-id="{plan}"] .open').click()
    expect(page.locator("#plan")).to_be_visible()
    return page


def test_the_order_of_a_plan_leads_to_it_and_its_legs_are_live(look: Looks, staff: Staff, engine: Engine) -> None:
    staff.hold("100")
    plan = made(engine, BRACKET)
    page = look(reduced_motion="reduce")
    row = page.locator("#orders tr").first
    expect(row).to_contain_text("limit")
    expect(row.get_by_role("button", name="Amend")).to_have_count(0)
    expect(row.get_by_role("button", name="Cancel")).to_have_count(0)
    row.get_by_role("button", name="Show the plan of").click()
    expect(page.locator("#plan-legs tr")).to_have_count(3)
    staff.move("SOL-USDC", price="112")
    expect(leg(page, "Take-profit 1")).to_contain_text("confirmed")
    expect(page.locator("#plan-progress")).to_contain_text("1 of 2 SOL sold")
    expect(page.locator("#plan-facts")).to_contain_text("Sold on average at")
    expect(leg(page, "Stop")).to_contain_text("1 SOL")  # What is left.
    assert grave(page, "#plan") == []
    leg(page, "Stop").get_by_role("button", name="Show the order").click()
    expect(page.locator("#detail")).to_be_visible()
    expect(page.locator("#detail").get_by_role("button", name="Cancel order")).to_be_hidden()
    expect(page.locator("#detail").get_by_role("button", name="Amend")).to_be_hidden()
    page.locator("#plan").get_by_role("button", name="Cancel plan").click()
    expect(page.locator("#plan-status")).to_have_text("cancelled")
    expect(leg(page, "Stop")).to_contain_text("cancelled")
    assert read(engine, plan)["status"] == "cancelled"


def test_an_exit_is_moved_on_the_chart_by_mouse_and_keys(look: Looks, staff: Staff, engine: Engine) -> None:
    staff.hold("100")
    plan = made(engine, BRACKET)
    page = opened(look, plan)
    stop = page.get_by_role("slider", name="Stop of the plan")

    def price() -> float:
        return next(float(leg["limitPrice"]) for leg in read(engine, plan)["legs"] if leg["leg"] == "stop")

    first = price()
    page.locator("#plot").scroll_into_view_if_needed()
    box = stop.locator("span").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 20, box["y"] + 12)
    page.mouse.down()
    page.mouse.move(box["x"] + 20, box["y"] + 4, steps=4)
    page.mouse.up()
    until(lambda: price() > first, PATIENCE_MS / 1000)
    dragged = price()
    stop.focus()
    page.keyboard.press("ArrowDown")
    until(lambda: price() < dragged, PATIENCE_MS / 1000)
    assert abs(price() / dragged - 1 / 1.001) < 0.0001
    leg(page, "Stop").get_by_role("button", name="Amend").click()
    page.locator("#amend-price").fill("85")
    page.locator("#amend").get_by_role("button", name="Amend", exact=True).click()
    expect(leg(page, "Stop")).to_contain_text("at 85")
    page.locator("#plan").get_by_role("button", name="Cancel plan").click()
    expect(page.locator("#plan-status")).to_have_text("cancelled")


def test_a_schedule_is_paused_resumed_and_cancelled(look: Looks, staff: Staff, engine: Engine) -> None:
    staff.hold("100")
    page = opened(look, made(engine, TWAP), **PHONE)
    expect(leg(page, "Slice 1")).to_contain_text("confirmed")
    expect(page.locator("#plan-progress")).to_contain_text("1 of 3 done")
    expect(page.locator("#plan-facts")).to_contain_text("Average price")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert grave(page) == []
    card = page.locator("#plan")
    card.get_by_role("button", name="Pause").tap()
    expect(page.locator("#plan-status")).to_have_text("paused")
    card.get_by_role("button", name="Resume").tap()
    expect(page.locator("#plan-status")).to_have_text("active")
    card.get_by_role("button", name="Cancel plan").tap()
    expect(page.locator("#plan-status")).to_have_text("cancelled")


def test_a_bracket_is_built_and_its_lines_follow_its_fields(look: Looks, staff: Staff, engine: Engine) -> None:
    staff.hold("100")
    page = look(reduced_motion="reduce")
    page.locator("#tokenIn").select_option("USDC")
    page.locator("#tokenOut").select_option("SOL")
    page.get_by_label("You pay").fill("50")
    page.get_by_label("Exits", exact=True).select_option("entry")
    expect(page.locator("#market-title")).to_have_text("SOL / USDC")  # As its exits are priced.
    for name in ("Trailing stop", "Time limit"):
        page.get_by_role("button", name=f"+ {name}").click()
    take = page.get_by_role("slider", name="Take-profit")
    expect(take).to_have_attribute("aria-valuetext", re.compile(r"\+10 %"))
    rows = page.locator("#exit-rows .exit")
    expect(rows).to_have_count(4)
    stop = rows.filter(has_text="% below cost")
    stop.locator('[data-field="price"]').fill("80")
    line = page.get_by_role("slider", name="Stop", exact=True)
    expect(line).to_have_attribute("aria-valuenow", "80")
    expect(stop.locator('[data-field="atBps"]')).to_have_value(re.compile(r"^2\d"))
    line.focus()
    page.keyboard.press("ArrowUp")
    expect(stop.locator('[data-field="price"]')).to_have_value("80.08")
    rows.first.locator('[data-field="atBps"]').fill("20")
    expect(take).to_have_attribute("aria-valuetext", re.compile(r"\+20 %"))
    assert grave(page) == []
    page.get_by_role("button", name="Place market order with exits").click()
    expect(leg(page, "Entry")).to_contain_text("confirmed")
    expect(leg(page, "Stop").first).to_contain_text("at 80.08")
    expect(page.locator("#plan-status")).to_have_text("active")
    plan = page.locator("#plans tr[aria-current]").get_attribute("data-id")
    assert plan is not None
    exits = {exit["leg"]: exit for exit in read(engine, plan)["spec"]["exits"]}
    assert (exits["tp1"]["atBps"], exits["stop"]["price"], exits["trail"]["trailBps"]) == (2000, "80.08", 500)
    page.locator("#plan").get_by_role("button", name="Cancel plan").click()
    expect(page.locator("#plan-status")).to_have_text("cancelled")


def test_what_the_engine_refuses_of_an_exit_is_said_at_its_field(look: Looks, staff: Staff) -> None:
    staff.hold("100")
    page = look(**PHONE)
    page.get_by_label("Exits", exact=True).select_option("alone")
    rows = page.locator("#exit-rows .exit")
    rows.last.locator('[data-field="price"]').fill("120")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("button", name="Place exits").tap()
    expect(rows.last.locator(".error")).to_have_text("would trigger immediately")
    expect(rows.last.locator('[aria-invalid="true"]')).to_be_focused()
    rows.last.locator('[data-field="price"]').fill("0")
    page.get_by_role("button", name="Place exits").tap()
    expect(rows.last.locator(".error")).to_have_text("Enter a number greater than 0.")
    expect(rows.last.locator('[data-field="price"]')).to_be_focused()
