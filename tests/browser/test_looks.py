"""How the pages look and weigh: dark, on a phone, to a screen reader, on a slow line."""

import contextlib
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import PATIENCE_MS, Looks, sign_in
from tests.engine import Engine
from tests.waiting import until

expect.set_options(timeout=PATIENCE_MS)
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "is_mobile": True,
    "has_touch": True,
    "device_scale_factor": 2,
    "reduced_motion": "reduce",  # Colours are looked at where they belong, not on their way there.
}
MAX_FIRST_LOAD = 300_000
MAX_READY_MS = 3_000
MAX_LOADS = 8
"""Each in a browser context of its own, without a cache: the quickest measures the page, the others the machine."""


def grave(page: Page, context: str | None = None) -> list[str]:
    """axe's serious and critical findings."""
    found = Axe().run(page, context=context).response["violations"]
    return [
        f"{rule['id']}: {node['html'][:160]} ({node.get('failureSummary', '')[:200]})"
        for rule in found
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_nothing_grave_for_a_screen_reader(look: Looks, colours: str) -> None:
    page = look(color_scheme=colours, reduced_motion="reduce")
    page.get_by_role("button", name="Place market order").click()
    expect(page.locator("#detail-status")).to_have_text("confirmed")
    for kind in ("Limit", "Sniper"):
        page.get_by_role("radio", name=kind).check(force=True)
        assert grave(page) == []
    page.locator("#detail-quotes summary").click()
    page.locator("#detail-events summary").click()
    assert grave(page) == []


def test_dark_where_the_system_is_and_where_it_is_chosen(look: Looks) -> None:
    def ground(page: Page) -> int:
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(int(part) for part in colour.strip("rgb()").split(","))

    assert ground(look(color_scheme="dark")) < 100
    page = look(color_scheme="light")
    assert ground(page) > 600
    page.get_by_role("button", name="Use dark colours").click()
    assert ground(page) < 100
    page.reload()
    assert ground(page) < 100


def test_a_phone_shows_everything_without_scrolling_sideways(look: Looks) -> None:
    page = look(**PHONE)
    page.get_by_role("button", name="Place market order").tap()
    expect(page.locator("#detail-status")).to_have_text("confirmed")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert grave(page) == []
    for control in page.get_by_role("button").all():
        box = control.bounding_box()
        assert box is None or box["height"] >= 24, control.inner_text()


def test_the_first_load_is_light(look: Looks, engine: Engine) -> None:
    for _ in range(MAX_LOADS):
        page = look()
        expect(page.locator("#link")).to_have_attribute("data-state", "live")
        loaded = page.evaluate(
            """() => {
                const all = [...performance.getEntriesByType('resource'), ...performance.getEntriesByType('navigation')];
                const own = all.every((entry) => entry.name.startsWith(location.origin));
                const ready = performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd;
                return {bytes: all.reduce((sum, entry) => sum + entry.transferSize, 0), requests: all.length, ready, own};
            }"""
        )
        print(loaded)
        assert loaded["own"]
        assert 0 < loaded["bytes"] < MAX_FIRST_LOAD
        if loaded["ready"] < MAX_READY_MS:
            break
    assert loaded["ready"] < MAX_READY_MS


def test_the_admin_shows_the_engine_and_requeues(look: Looks, engine: Engine) -> None:
    page = look()
    page.locator("#tokenIn").select_option("NEW")
    page.get_by_role("button", name="Place market order").click()
    expect(page.locator("#detail-status")).to_have_text("failed")
    order_id = page.locator("#facts .long dd").last.inner_text()

    page.goto(f"{engine.url}/admin/")
    sign_in(page, engine)
    landing = page.locator("#landing")
    expect(landing).to_contain_text("Throughput")
    expect(landing).to_contain_text("orders-1@")
    expect(landing).to_contain_text("NO_ROUTE")
    assert grave(page, "#landing") == []

    page.goto(f"{engine.url}/admin/orders/order/?q={order_id}")
    page.locator("#result_list tbody a").first.click()
    expect(page.get_by_text("Dead letters").last).to_be_visible()
    page.get_by_role("link", name="Requeue").first.click()
    page.get_by_role("button", name="Yes").click()
    expect(page.locator("body")).to_contain_text("order requeued")
    expect(page.locator("body")).to_contain_text("requeued")

    page.goto(engine.url)
    expect(page.locator("#controls")).to_be_visible()
    page.locator("#orders .open").first.click()
    expect(page.locator("#detail-events")).to_be_attached()


def test_flower_is_behind_the_session(look: Looks, engine: Engine) -> None:
    page = look("/flower/")
    assert "/admin/login/" in page.url
    sign_in(page, engine)

    def listed() -> bool:
        """Flower starts last, and its page does not ask again by itself."""
        with contextlib.suppress(AssertionError):
            expect(page.locator("body")).to_contain_text("orders-1@", timeout=5_000)
            return True
        page.reload()
        return False

    until(listed, PATIENCE_MS / 1000)
