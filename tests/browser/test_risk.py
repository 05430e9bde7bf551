"""The kill switch of the trading page and of the admin."""

import os

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PATIENCE_MS, Looks
from tests.browser.test_admin import admin
from tests.browser.test_looks import PHONE
from tests.engine import Engine

expect.set_options(timeout=PATIENCE_MS)
SHOTS = os.environ.get("SHOTS")
"""Folder for pictures to look at."""


def state(engine: Engine) -> str:
    return str(httpx.get(f"{engine.url}/api/risk").json()["tradingState"])


DESKTOP = {"viewport": {"width": 1280, "height": 900}}
WIDE = {"viewport": {"width": 1920, "height": 1080}, "color_scheme": "dark"}


@pytest.mark.parametrize("options", [PHONE, DESKTOP, WIDE])
def test_trading_is_halted_and_goes_on_after_a_question(
    look: Looks, engine: Engine, options: dict[str, object]
) -> None:
    page = look(**options)
    name = str(options["viewport"]["width"])  # type: ignore[index]
    page.get_by_role("button", name="Halt", exact=True).click()
    expect(page.get_by_role("heading", name="Halt trading?")).to_be_visible()
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/{name}-question.png")
    page.get_by_role("button", name="Leave it").click()
    assert state(engine) == "ACTIVE"
    page.get_by_role("button", name="Halt", exact=True).click()
    page.locator("#halt-do").click()
    expect(page.locator("#trading-state")).to_have_text("Halted")
    assert state(engine) == "HALTED"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    if SHOTS:
        page.wait_for_timeout(500)
        page.screenshot(path=f"{SHOTS}/{name}.png")
    page.get_by_role("button", name="Go on").click()
    page.locator("#halt-do").click()
    expect(page.locator("#trading-state")).to_have_text("Trading")
    assert state(engine) == "ACTIVE"


def test_an_operator_has_all_of_the_bar_on_a_phone(look: Looks, engine: Engine) -> None:
    page = admin(look, engine, "/", **PHONE)
    page.goto(engine.url)
    for wanted, button in (("Halted", "Halt"), ("Trading", "Go on")):
        page.get_by_role("button", name=button, exact=True).click()
        page.locator("#halt-do").click()
        expect(page.locator("#trading-state")).to_have_text(wanted)
        # Not `innerWidth`: a phone zooms out for a page that is too wide.
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["viewport"]["width"], wanted  # type: ignore[index]
        if SHOTS:
            page.screenshot(path=f"{SHOTS}/operator-{wanted}.png")


def test_the_admin_halts_everybody_and_notes_who(look: Looks, engine: Engine) -> None:
    page = admin(look, engine, "/admin/risk/rule/")
    page.locator("tr", has_text="everybody").locator("input.action-select").check()
    page.locator("select[name=action]").select_option("halt")
    page.locator("button[name=index], button:has-text('Run')").first.click()
    expect(page.get_by_text("everybody: HALTED, within a second.")).to_be_visible()
    assert state(engine) == "HALTED"
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/admin.png")
    page.goto(f"{engine.url}/admin/risk/change/")
    expect(page.get_by_text("user admin").first).to_be_visible()
    staff = {"Authorization": f"Bearer {engine.credentials['staffApiKey']}"}
    httpx.post(f"{engine.url}/api/trading-state", json={"state": "ACTIVE"}, headers=staff).raise_for_status()
