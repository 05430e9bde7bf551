"""Plans by keyboard alone: through the ticket, and on a plan's card. What has the focus is named, marked and in sight."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PATIENCE_MS, Looks, Staff
from tests.browser.test_plans import BRACKET, TWAP, leg, made, opened, read
from tests.engine import Engine

expect.set_options(timeout=PATIENCE_MS)
FOCUSED = """() => {
    const it = document.activeElement;
    if (it === document.body) return null;
    const box = it.getBoundingClientRect();
    const marks = (each) => {
        const style = getComputedStyle(each);
        return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0 || style.boxShadow !== "none";
    };
    // A hidden radio is marked at its label.
    const shown = it.matches("input[type=radio]") ? it.nextElementSibling : it;
    const { left, top, width, height } = shown.getBoundingClientRect();
    const seen = document.elementFromPoint(left + width / 2, top + Math.min(height / 2, 12));
    const named = it.labels?.length ? [...it.labels].map((label) => label.textContent).join(" ") : it.textContent;
    return {
        id: it.id || it.name || it.dataset.act || it.dataset.add || it.dataset.field || it.textContent.trim().slice(0, 30),
        within: it.closest("form, section, dialog, header")?.id ?? "",
        name: (it.getAttribute("aria-label") ?? named ?? "").trim() || (it.getAttribute("aria-labelledby") ? "by" : ""),
        marked: marks(shown) || marks(it),
        seen: Boolean(seen && (shown.contains(seen) || seen.contains(shown) || it.closest("label")?.contains(seen))),
    };
}"""


def tab(page: Page, key: str = "Tab") -> dict[str, Any] | None:
    page.keyboard.press(key)
    found: dict[str, Any] | None = page.evaluate(FOCUSED)
    return found


def tab_to(page: Page, wanted: str, key: str = "Tab", most: int = 80) -> dict[str, Any]:
    """Every stop on the way is named, marked, and not below something else."""
    for _ in range(most):
        stop = tab(page, key)
        if stop is None:
            continue
        assert stop["name"], f"nothing is said of {stop}"
        assert stop["marked"], f"the focus is not seen at {stop}"
        assert stop["seen"], f"the focus is below something at {stop}"
        if stop["id"] == wanted:
            return stop
    raise AssertionError(f"no {wanted} on the way")


@pytest.mark.parametrize("width", [390, 1280])
def test_a_bracket_is_made_amended_and_cancelled_by_keys(look: Looks, staff: Staff, engine: Engine, width: int) -> None:
    staff.hold("100")
    page = look(reduced_motion="reduce", viewport={"width": width, "height": 844})
    page.keyboard.press("n")
    expect(page.locator("#amount")).to_be_focused()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("1")
    tab_to(page, "exits-mode")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#exit-rows .exit")).to_have_count(2)
    tab_to(page, "trailing")
    page.keyboard.press("Enter")
    expect(page.locator("#exit-rows .exit")).to_have_count(3)
    expect(page.locator("#exit-rows .exit").last.locator("input").first).to_be_focused()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("7")
    page.keyboard.press("Enter")
    expect(page.locator("#plan-status")).to_have_text("active")
    plan = page.locator("#plans tr[aria-current]").get_attribute("data-id")
    assert plan is not None
    exits = {exit["leg"]: exit for exit in read(engine, plan)["spec"]["exits"]}
    assert exits["trail"]["trailBps"] == 700
    expect(leg(page, "Stop").first).to_contain_text("waiting")

    page.locator("#plan").focus()
    tab_to(page, "amend")
    page.keyboard.press("Enter")
    expect(page.locator("#amend")).to_be_visible()
    tab_to(page, "amend-slippage")
    page.keyboard.press("Escape")
    expect(page.locator("#amend")).to_be_hidden()
    page.wait_for_function("document.activeElement.dataset.act === 'amend'")  # Where it was.
    page.locator("#plan").focus()
    tab_to(page, "cancel")
    page.keyboard.press("Enter")
    expect(page.locator("#plan-status")).to_have_text("cancelled")
    assert page.evaluate("document.activeElement !== document.body"), "the focus is lost with its button"


def test_a_schedule_is_made_paused_resumed_and_cancelled_by_keys(look: Looks, staff: Staff) -> None:
    staff.hold("100")
    page = look(reduced_motion="reduce", viewport={"width": 1280, "height": 844})
    page.keyboard.press("n")
    tab_to(page, "type", "Shift+Tab")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="Schedule")).to_be_checked()
    tab_to(page, "scheme")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="DCA")).to_be_checked()
    tab_to(page, "ends")
    tab_to(page, "Price band, jitter, start, fai")
    page.keyboard.press("Enter")
    tab_to(page, "minPrice")
    tab_to(page, "stopAfterFailures")
    page.keyboard.type("3")
    tab_to(page, "place")
    page.keyboard.press("Enter")
    expect(page.locator("#plan-status")).to_have_text("active")
    for act, status in (("pause", "paused"), ("resume", "active"), ("pause", "paused"), ("cancel", "cancelled")):
        page.locator("#plan").focus()
        tab_to(page, act)
        page.keyboard.press("Enter")
        expect(page.locator("#plan-status")).to_have_text(status)
        assert page.evaluate("document.activeElement !== document.body"), f"the focus is lost by {act}"


def test_every_stop_of_a_plan_s_card_is_named_marked_and_in_sight(look: Looks, staff: Staff, engine: Engine) -> None:
    staff.hold("100")
    plan = made(engine, BRACKET)
    for key in ("Tab", "Shift+Tab"):
        page = opened(look, plan, viewport={"width": 1280, "height": 700})
        page.locator("#plan" if key == "Tab" else "#plan details summary").focus()
        tab_to(page, "Events of the plan" if key == "Tab" else "close", key)
    assert read(engine, made(engine, TWAP))["kind"] == "schedule"
