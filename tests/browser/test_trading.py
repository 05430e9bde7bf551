"""The trading page, as people use it: from the ticket to the last stage."""

import re

import httpx
import pytest
from playwright.sync_api import Dialog, Page, WebSocketRoute, expect

from tests.browser.conftest import PATIENCE_MS, Looks, Staff
from tests.engine import Engine
from tests.waiting import until

expect.set_options(timeout=PATIENCE_MS)


def place(page: Page) -> None:
    page.get_by_role("button", name=re.compile("^Place ")).click()
    expect(page.locator("#detail")).to_be_visible()


def stage(page: Page, name: str) -> None:
    expect(page.locator("#detail-status")).to_have_text(name)


def rest_at(page: Page, price: str, side: str = "gte") -> None:
    page.get_by_role("radio", name="Limit").check(force=True)
    page.get_by_label("When the best price is").select_option(side)
    page.locator("#limitPrice").fill(price)
    place(page)
    stage(page, "waiting")


def test_a_market_order_from_ticket_to_confirmed(look: Looks) -> None:
    page = look()
    page.get_by_label("You pay").fill("2.5")
    expect(page.locator("#preview")).to_contain_text(re.compile("RAYDIUM|METEORA"))
    place(page)
    stage(page, "confirmed")
    expect(page.locator("#stepper li.done")).to_have_count(5)
    facts = page.locator("#facts")
    expect(facts).to_contain_text("Transaction")
    expect(facts).to_contain_text("Execution took")
    page.get_by_text("Quotes and the choice of venue").click()
    expect(page.locator("#detail-quotes tr.won")).to_have_count(1)
    page.locator("#detail-events summary").click()
    expect(page.locator("#detail-events tbody tr")).to_have_count(5)
    expect(page.locator("#orders tr").first.locator(".badge")).to_have_text("confirmed")


def test_a_limit_order_waits_for_its_price(look: Looks, staff: Staff) -> None:
    staff.hold("100")
    page = look()
    rest_at(page, "110")
    expect(page.locator("#limit-hint")).to_contain_text("above the best price")
    staff.move("SOL-USDC", price="112")
    stage(page, "confirmed")


def test_a_stop_order_fires_below_its_price(look: Looks, staff: Staff) -> None:
    staff.hold("100")
    page = look()
    rest_at(page, "90", "lte")
    staff.move("SOL-USDC", price="88")
    stage(page, "confirmed")


def test_a_sniper_order_fires_at_the_launch(look: Looks, staff: Staff) -> None:
    staff.move("NEW-USDC", listed=False)
    page = look()
    page.get_by_role("radio", name="Sniper").check(force=True)
    page.locator("#tokenIn").select_option("USDC")
    page.locator("#tokenOut").select_option("NEW")
    page.get_by_label("You pay").fill("25")
    page.locator("#slippage").fill("20")
    expect(page.locator("#preview")).to_contain_text("sniper waits")
    place(page)
    stage(page, "waiting")
    staff.move("NEW-USDC", listed=True, price="0.2")
    stage(page, "confirmed")
    staff.move("NEW-USDC", listed=False)


def test_a_resting_order_is_amended_and_cancelled(look: Looks, staff: Staff) -> None:
    staff.hold("100")
    page = look()
    rest_at(page, "150")
    page.locator("#detail").get_by_role("button", name="Amend").click()
    page.locator("#amend-price").fill("160")
    page.locator("#amend").get_by_role("button", name="Amend", exact=True).click()
    expect(page.locator("#facts")).to_contain_text("limit ≥ 160")
    page.locator("#detail").get_by_role("button", name="Cancel order").click()
    stage(page, "cancelled")
    expect(page.locator("#orders tr").first.locator(".badge")).to_have_text("cancelled")


def test_a_failed_order_says_why(look: Looks, staff: Staff) -> None:
    staff.move("NEW-USDC", listed=False)
    page = look()
    page.locator("#tokenIn").select_option("NEW")
    place(page)
    stage(page, "failed")
    expect(page.locator("#failure")).to_contain_text("NO_ROUTE")
    expect(page.locator("#stepper li.bad")).to_have_count(1)


def test_the_page_says_which_venue_is_slow_and_why(look: Looks, staff: Staff) -> None:
    staff.hold("100")
    page = look()
    expect(page.locator(".tile.raydium output")).to_have_text(re.compile(r"^99\.75"))  # Less its fee.
    expect(page.locator("#slow")).to_be_hidden()
    try:
        staff.move("SOL-USDC", raydium="slow")
        expect(page.locator("#slow")).to_have_text("Raydium is slow: it answers too late")
        expect(page.locator(".tile.raydium small")).to_have_text(re.compile(r"\d+ s old"))
    finally:
        staff.move("SOL-USDC", raydium="ok")
    expect(page.locator("#slow")).to_be_hidden()


def test_what_is_wrong_is_said_beside_the_field(look: Looks) -> None:
    page = look()
    page.get_by_label("You pay").fill("-3")
    page.get_by_role("button", name=re.compile("^Place ")).click()
    expect(page.locator("#amount-error")).to_have_text("Enter a number greater than 0.")
    expect(page.get_by_label("You pay")).to_be_focused()
    page.get_by_role("radio", name="Limit").check(force=True)
    page.get_by_label("You pay").fill("1")
    page.locator("#limitPrice").fill("99999")  # The engine's own refusal, at its field.
    page.get_by_role("button", name=re.compile("^Place ")).click()
    expect(page.locator("#limitPrice-error")).to_contain_text("10 times")


def test_a_price_far_from_the_market_is_asked_about(look: Looks) -> None:
    page = look()
    asked: list[str] = []

    def agree(dialog: Dialog) -> None:
        asked.append(dialog.message)
        dialog.accept()

    page.on("dialog", agree)
    rest_at(page, "99999")
    page.locator("#detail").get_by_role("button", name="Amend").click()
    page.locator("#amend-price").fill("88888")
    page.locator("#amend").get_by_role("button", name="Amend", exact=True).click()
    expect(page.locator("#facts")).to_contain_text(re.compile(r"limit\s≥\s88.?888"))
    assert asked == ["This price is more than 10 times away from the market. Do you mean it?"] * 2


def test_the_keyboard_is_enough(look: Looks) -> None:
    page = look()
    page.keyboard.press("n")
    expect(page.get_by_label("You pay")).to_be_focused()
    page.keyboard.type("3")
    page.keyboard.press("Enter")
    stage(page, "confirmed")
    page.keyboard.press("Escape")
    page.locator("#orders .open").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#orders tr[aria-current]")).to_have_count(1)


def test_the_page_comes_back_after_the_web_process_is_killed(look: Looks, engine: Engine, staff: Staff) -> None:
    staff.hold("100")
    page = look()
    rest_at(page, "120")
    expect(page.locator("#link")).to_have_attribute("data-state", "live")
    engine.kill("web")
    expect(page.locator("#offline")).to_be_visible()
    expect(page.locator("#link")).to_have_attribute("data-state", "live")
    expect(page.locator("#offline")).to_be_hidden()
    staff.move("SOL-USDC", price="125")
    stage(page, "confirmed")


def test_an_older_order_that_changed_while_the_page_was_cut_off_is_shown_as_it_is(
    look: Looks, engine: Engine, staff: Staff
) -> None:
    """The snapshot that a stream begins with has the newest fifty."""
    staff.hold("100")
    page, streams, cut_off = look(), list[WebSocketRoute](), False

    def stream(route: WebSocketRoute) -> None:
        if cut_off:
            return route.close(code=1012)
        route.connect_to_server()
        streams.append(route)

    fields = {"tokenIn": "SOL", "tokenOut": "USDC", "amount": "1", "type": "limit"}
    prices = ["120", *["500"] * 60]
    orders = {"orders": [{**fields, "limitPrice": price} for price in prices]}
    placed = httpx.post(f"{engine.url}/api/orders/batch", json=orders, timeout=60).raise_for_status().json()
    old, *_ = [each["orderId"] for each in placed["results"]]
    page.route_web_socket(re.compile("/ws/orders"), stream)
    page.reload()
    page.locator("#more").click()
    row = page.locator(f"#orders tr[data-id='{old}'] .badge")
    expect(row).to_have_text("waiting")

    cut_off = True
    streams[-1].close(code=1012)
    staff.move("SOL-USDC", price="125")
    until(lambda: httpx.get(f"{engine.url}/api/orders/{old}", timeout=60).json()["status"] == "confirmed", 60)
    cut_off = False
    expect(row).to_have_text("confirmed")


def test_two_windows_show_the_same(look: Looks) -> None:
    one, other = look(), look()
    expect(other.locator("#link")).to_have_attribute("data-state", "live")
    one.get_by_label("You pay").fill("4.25")
    place(one)
    stage(one, "confirmed")
    expect(other.locator("#orders tr").first).to_contain_text("4.25 SOL")
    expect(other.locator("#orders tr").first.locator(".badge")).to_have_text("confirmed")


@pytest.mark.parametrize("key", ["", "nonsense"])
def test_staff_controls_need_staff(look: Looks, key: str) -> None:
    page = look()
    assert page.locator("#controls").count() == 0
    status = page.evaluate(
        """key => fetch('/api/mock/market', {method: 'POST', body: '{"pair": "SOL-USDC", "price": 1}', headers:
           {'Content-Type': 'application/json', ...(key ? {Authorization: `Bearer ${key}`} : {})}}).then(r => r.status)""",
        key,
    )
    assert status in (401, 403)
