"""What a plan waits for, on its card and on the chart: told from the ticket's, moved by finger and keys, never out of sight."""

import re
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import PATIENCE_MS, Looks, Staff
from tests.browser.test_looks import PHONE, grave
from tests.browser.test_plans import leg, made, opened, read
from tests.engine import Engine
from tests.waiting import until

expect.set_options(timeout=PATIENCE_MS)
ALONE: dict[str, Any] = {"kind": "bracket", "tokenIn": "SOL", "tokenOut": "USDC", "amount": "2", "entry": False}
TRAILING = ALONE | {"exits": [{"kind": "trailing", "trailBps": 1000}, {"kind": "stopLoss", "atBps": 3000}]}
STOP = ALONE | {"exits": [{"kind": "stopLoss", "atBps": 800}]}


def cancelled(page: Page) -> None:
    page.locator("#plan").get_by_role("button", name="Cancel plan").click()
    expect(page.locator("#plan-status")).to_have_text("cancelled")


def now(line: Locator) -> float:
    return float(line.get_attribute("aria-valuenow") or 0)


def leg_of(engine: Engine, plan: str, name: str) -> dict[str, Any]:
    return next(leg for leg in read(engine, plan)["legs"] if leg["leg"] == name)


def test_a_bracket_counts_its_entry_as_its_exits(look: Looks, staff: Staff, engine: Engine) -> None:
    staff.hold("100")
    entry = {"kind": "bracket", "tokenIn": "USDC", "tokenOut": "SOL", "amount": "50"}
    exits = {"exits": [{"kind": "takeProfit", "atBps": 1000}]}
    waits = made(engine, entry | exits | {"type": "limit", "limitPrice": "90", "priceIn": "tokenIn"})
    page = opened(look, waits)
    expect(leg(page, "Entry")).to_contain_text("limit 90.0000 USDC")
    page.reload()
    page.locator(f'#plans tr[data-id="{waits}"] .open').click()
    expect(leg(page, "Entry")).to_contain_text("limit 90.0000 USDC")
    cancelled(page)
    filled = made(engine, entry | exits)
    page.locator(f'#plans tr[data-id="{filled}"] .open').click()
    expect(leg(page, "Entry")).to_contain_text(re.compile(r"done at 100\.\d+ USDC"))
    expect(leg(page, "Take-profit")).to_contain_text(re.compile(r"at 110\.\d+ USDC"))
    cancelled(page)


def test_a_trailing_stop_s_line_follows_the_price_and_sets_its_distance(
    look: Looks, staff: Staff, engine: Engine
) -> None:
    staff.hold("100")
    plan = made(engine, TRAILING)
    assert leg_of(engine, plan, "trail")["limitPrice"] is None
    page = opened(look, plan)
    line = page.get_by_role("slider", name="Trailing stop of the plan")
    expect(line).to_be_visible()
    until(lambda: 88 < now(line) < 91, PATIENCE_MS / 1000)
    staff.hold("110")
    until(lambda: 98 < now(line) < 100, PATIENCE_MS / 1000)
    expect(leg(page, "Trailing stop")).to_contain_text("10 % below the highest, 109.")
    page.get_by_label("Exits", exact=True).select_option("alone")
    draft = page.get_by_role("slider", name="Stop", exact=True)
    expect(draft).to_have_class(re.compile("draft"))
    expect(line).not_to_have_class(re.compile("draft"))
    expect(page.locator("#lines-said")).to_contain_text("Dashed: the ticket. Solid: the open plan.")
    assert grave(page, "#market") == []
    before = now(line)
    line.focus()
    page.keyboard.press("PageDown")
    until(lambda: leg_of(engine, plan, "trail")["trailBps"] > 1000, PATIENCE_MS / 1000)
    found = leg_of(engine, plan, "trail")
    assert abs(float(found["high"]) * (1 - found["trailBps"] / 10_000) - before / 1.01) < 0.02
    leg(page, "Trailing stop").get_by_role("button", name="Amend").click()
    dialog = page.locator("#amend")
    expect(dialog.get_by_label("Price", exact=False).first).to_be_hidden()
    dialog.get_by_label("Below the highest price (%)").fill("20")
    dialog.get_by_label("Slippage after failures, at most (%)").fill("one")
    dialog.get_by_role("button", name="Amend", exact=True).click()
    expect(dialog.get_by_role("alert")).to_have_text("Enter a number.")
    dialog.get_by_label("Slippage after failures, at most (%)").fill("15")
    dialog.get_by_role("button", name="Amend", exact=True).click()
    expect(leg(page, "Trailing stop")).to_contain_text("20 % below the highest")
    spec = next(exit for exit in read(engine, plan)["spec"]["exits"] if exit["leg"] == "trail")
    assert (spec["trailBps"], spec["maxSlippageBps"]) == (2000, 1500)
    cancelled(page)


def test_another_pair_s_plan_leads_to_its_chart(look: Looks, staff: Staff, engine: Engine) -> None:
    staff.hold("100")
    page = look(reduced_motion="reduce")
    page.locator("#tokenIn").select_option("BONK")
    page.locator(f'#plans tr[data-id="{made(engine, STOP)}"] .open').click()
    line = page.get_by_role("slider", name="Stop of the plan")
    elsewhere = page.locator("#plan-elsewhere")
    expect(elsewhere).to_contain_text("The chart shows another pair.")
    expect(line).to_have_count(0)
    elsewhere.get_by_role("button", name="Show SOL / USDC").click()
    expect(page.locator("#market-title")).to_have_text("SOL / USDC")
    expect(elsewhere).to_be_hidden()
    until(lambda: 90 < now(line) < 93, PATIENCE_MS / 1000)
    page.get_by_role("radio", name="Limit").check(force=True)
    page.locator("#limit-unit").click()
    expect(page.locator("#market-title")).to_have_text("USDC / SOL")
    assert 1 / 93 < now(line) < 1 / 90
    cancelled(page)
    expect(line).to_have_count(0)


@pytest.mark.parametrize("options", [{"viewport": {"width": 1280, "height": 700}}, PHONE])
def test_the_chart_stays_in_sight_while_it_matters(
    look: Looks, staff: Staff, engine: Engine, options: dict[str, Any]
) -> None:
    staff.hold("100")
    page = opened(look, made(engine, TRAILING), **options)
    plot = page.locator("#plot")
    expect(page.locator("#plot .line").first).to_be_visible()
    page.locator("#plan-facts").evaluate("(facts) => scrollTo(0, facts.getBoundingClientRect().bottom + scrollY - 500)")
    until(lambda: (box := plot.bounding_box()) is not None and 0 <= box["y"] < 20, PATIENCE_MS / 1000)
    # What is focused comes to stand below it, not behind.
    page.locator("#plan").get_by_role("button", name="Show the order: Trailing stop").focus()
    chart, focused = plot.bounding_box(), page.locator(":focus").bounding_box()
    assert chart and focused and focused["y"] >= chart["y"] + chart["height"]
    page.locator("#plan").get_by_role("button", name="Close this plan").click()
    expect(page.locator("#market")).not_to_have_class(re.compile("pinned"))
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    expect(plot).not_to_be_in_viewport()


def test_a_finger_drags_a_line_by_its_tag_and_scrolls_beside_it(look: Looks, staff: Staff, engine: Engine) -> None:
    staff.hold("100")
    plan = made(engine, STOP)
    page = opened(look, plan, **PHONE)
    tag = page.get_by_role("slider", name="Stop of the plan").locator("span")
    expect(tag).to_be_visible()
    until(lambda: tag.bounding_box() == tag.bounding_box(), PATIENCE_MS / 1000)
    box = tag.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    first, scrolled = float(leg_of(engine, plan, "stop")["limitPrice"]), page.evaluate("scrollY")
    finger = page.context.new_cdp_session(page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        told = [{"x": x, "y": y} for x, y in points]
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": told})

    touch("touchStart", (x, y))
    for step in range(1, 6):
        touch("touchMove", (x, y - 4 * step))
    touch("touchEnd")
    until(lambda: float(leg_of(engine, plan, "stop")["limitPrice"]) > first, PATIENCE_MS / 1000)
    assert page.evaluate("scrollY") == scrolled
    # The line itself lets a finger through to the page.
    at = "([x, y]) => document.elementFromPoint(x, y).closest('.line') !== null"
    box = tag.bounding_box()
    assert box is not None
    assert page.evaluate(at, [box["x"] + 20, box["y"] + 10])
    assert not page.evaluate(at, [box["x"] + box["width"] + 60, box["y"] + box["height"] / 2])
    cancelled(page)


def test_an_exit_s_start_and_slippages_are_the_ticket_s_as_well(look: Looks, staff: Staff, engine: Engine) -> None:
    staff.hold("100")
    page = look(reduced_motion="reduce")
    page.get_by_label("Exits", exact=True).select_option("alone")
    page.get_by_role("button", name="+ Trailing stop").click()
    stop, trail = page.locator('.exit[data-exit="stopLoss"]'), page.locator('.exit[data-exit="trailing"]')
    line = page.get_by_role("slider", name="Trailing stop", exact=True)
    until(lambda: 94 < now(line) < 96, PATIENCE_MS / 1000)
    trail.locator("summary").click()
    trail.locator('[data-field="activateAtBps"]').fill("20")
    expect(line).to_have_attribute("aria-valuetext", re.compile(r"5 % below \+20 %"))
    assert 113 < now(line) < 115
    trail.locator('[data-field="maxSlippageBps"]').fill("60")
    trail.locator("summary").click()
    stop.locator("summary").click()
    stop.locator('[data-field="slippageBps"]').fill("2")
    stop.locator('[data-field="maxSlippageBps"]').fill("12.5")
    button = page.get_by_role("button", name="Place exits")
    button.click()
    expect(trail.locator(".error")).to_have_text("From 0 to 50 %.")
    expect(trail.locator('[data-field="maxSlippageBps"]')).to_be_focused()  # What is folded away is opened.
    assert grave(page, "#ticket") == []
    trail.locator('[data-field="maxSlippageBps"]').fill("")
    button.click()
    expect(page.locator("#plan-status")).to_have_text("active")
    plan = page.locator("#plans tr[aria-current]").get_attribute("data-id")
    assert plan is not None
    exits = {exit["leg"]: exit for exit in read(engine, plan)["spec"]["exits"]}
    assert (exits["stop"]["slippageBps"], exits["stop"]["maxSlippageBps"]) == (200, 1250)
    assert exits["trail"]["activateAtBps"] == 2000
    waits = page.get_by_role("slider", name="Trailing stop of the plan")
    expect(waits).to_have_attribute("aria-valuetext", re.compile("from 1[12]"))
    cancelled(page)


HIDDEN = """(hidden) => {
    Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden });
    document.dispatchEvent(new Event('visibilitychange'));
}"""


def test_a_card_that_nobody_saw_is_read_when_somebody_looks(look: Looks, staff: Staff, engine: Engine) -> None:
    staff.hold("100")
    entry = {"kind": "bracket", "tokenIn": "USDC", "tokenOut": "SOL", "amount": "50", "type": "limit"}
    price = {"limitPrice": "90", "priceIn": "tokenIn"}
    plan = made(engine, entry | price | {"exits": [{"kind": "stopLoss", "atBps": 800}]})
    page = opened(look, plan)
    expect(leg(page, "Stop")).to_contain_text("later")
    page.evaluate(HIDDEN, True)
    staff.hold("89")
    until(lambda: any(each["leg"] == "stop" for each in read(engine, plan)["legs"]), PATIENCE_MS / 1000)
    page.wait_for_timeout(1_500)
    expect(leg(page, "Stop")).to_contain_text("later")
    page.evaluate(HIDDEN, False)
    expect(leg(page, "Stop")).to_contain_text("waiting")
    cancelled(page)


def test_a_comma_is_a_decimal_sign_wherever_a_price_is_read(look: Looks, staff: Staff) -> None:
    staff.hold("100")
    page = look()
    page.get_by_role("radio", name="Limit").check(force=True)
    price = page.locator("#limitPrice")
    price.fill("12,5")
    expect(page.locator("#limit-hint")).to_contain_text("Fires at once")
    page.locator("#limit-unit").click()
    expect(price).to_have_value("0.08")
