"""Tokens on the page: any mint may be chosen, none pretends to be another, a limit counts either token."""

import os
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.conftest import PATIENCE_MS, Looks, Staff

expect.set_options(timeout=PATIENCE_MS)
MINT = "Gh9ZwEmdLJ8DscKNTkTqPbNwLNNBjuSzaG9Vp2KGtKJr"
OTHER = "9n4nbM75f5Ui33ZbPYXn59EwSgE8CGsHtAeTH5YFeJ9E"
WIDER = """[...document.querySelectorAll("body *")]
    .filter((each) => each.getBoundingClientRect().right > innerWidth + 1 && !each.closest(".scroll, .visually-hidden"))
    .map((each) => each.outerHTML.slice(0, 200))"""
HOSTILE = "<img src=x onerror=alert(1)>"


def picture(page: Page, name: str) -> None:
    """With PICTURES=folder, for people to look at."""
    if folder := os.environ.get("PICTURES"):
        for width in (390, 1280, 1920):
            page.set_viewport_size({"width": width, "height": 1000})
            for colours in ("light", "dark"):
                page.emulate_media(color_scheme=colours)
                page.screenshot(path=str(Path(folder) / f"{name}-{width}-{colours}.png"), full_page=width == 390)


def test_an_unverified_token_goes_by_its_mint(look: Looks, staff: Staff) -> None:
    staff.save_token(MINT, symbol=HOSTILE, name="SOL", decimals=6)
    page = look()
    # One is in the list; the other is pasted, and nobody knows it yet.
    assert page.locator(f"#tokenOut option[value='{MINT}']").text_content() == "Gh9Z…tKJr"
    assert "<img src=x" not in page.content()
    page.get_by_role("radio", name="Sniper").check(force=True)
    page.select_option("#tokenIn", "USDC")
    page.on("dialog", lambda dialog: dialog.accept(OTHER))
    page.select_option("#tokenOut", "")
    expect(page.locator("#tokenOut")).to_have_value(OTHER)
    expect(page.locator("#market-title")).to_have_text("USDC / 9n4n…eJ9E")
    page.get_by_role("button", name="Place sniper order").click()
    expect(page.locator("#orders tr").first).to_contain_text("1.5 USDC → 9n4n…eJ9E")
    expect(page.locator("#detail-title")).to_have_text("1.5 USDC → 9n4n…eJ9E")
    assert page.evaluate(WIDER) == []
    picture(page, "mint")


def test_a_limit_counts_either_token(look: Looks, staff: Staff) -> None:
    staff.hold("100")
    page = look()
    page.get_by_role("radio", name="Limit").check(force=True)
    page.select_option("#tokenIn", "USDC")
    page.select_option("#tokenOut", "SOL")
    unit = page.locator("#limit-unit")
    expect(unit).to_have_text("SOL per USDC ⇄")
    page.fill("#limitPrice", "0.0125")
    unit.click()
    expect(unit).to_have_text("USDC per SOL ⇄")
    expect(page.locator("#limitPrice")).to_have_value("80")
    expect(page.locator("#limit-hint")).to_contain_text("below the best price, 100")
    expect(page.locator("#triggerCondition option").first).to_have_text("at or below (limit)")
    page.get_by_role("button", name="Place limit order").click()
    row = page.locator("#orders tr").first
    expect(row).to_contain_text("limit ≤ 80")
    expect(row).to_contain_text("USDC per SOL")
    picture(page, "limit")
    row.get_by_role("button", name="Amend").click()
    expect(page.locator("#amend-price")).to_have_value("80")
    page.fill("#amend-price", "85")
    page.locator("#amend").get_by_role("button", name="Amend").click()
    expect(row).to_contain_text("limit ≤ 85")
    page.reload()
    expect(page.locator("#orders tr").first).to_contain_text("limit ≤ 85")
    page.locator("#orders tr").first.get_by_role("button", name="Cancel").click()
