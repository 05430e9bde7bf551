"""What is easily cut, wrapped or left over where there is little room."""

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PATIENCE_MS, Looks
from tests.browser.test_admin import LIST, LONG, STOP, admin, placed
from tests.browser.test_looks import PHONE
from tests.engine import Engine
from tests.waiting import until

expect.set_options(timeout=PATIENCE_MS)
LINES = """(element) => {
    const range = document.createRange();
    range.selectNodeContents(element);
    return new Set([...range.getClientRects()].map(({ bottom }) => Math.round(bottom))).size;
}"""
CUT_BELOW = "(element) => element.scrollHeight - element.clientHeight"


def test_the_bar_of_a_phone_wraps_nothing_and_names_no_keys(look: Looks) -> None:
    page = look(**(PHONE | {"viewport": {"width": 360, "height": 740}}))
    assert page.get_by_role("link", name="Sign in").first.evaluate(LINES) == 1
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    expect(page.locator("kbd").first).to_be_hidden()


@pytest.mark.parametrize("width", [1280, 1920])
def test_a_price_stands_in_one_line_with_its_condition(look: Looks, width: int) -> None:
    page = look(viewport={"width": width, "height": 900})
    order = {"tokenIn": "SOL", "tokenOut": "USDC", "amount": "4", "limitPrice": "61.25"} | {
        name: value for name, value in STOP.items() if name != "limitPrice"
    }
    placed(page, **order, clientOrderId=f"one-line-{width}")
    page.reload()
    cell = page.locator("#orders td", has_text="61.25").first
    expect(cell).to_be_visible()
    assert cell.evaluate(LINES) == 1


def test_a_phone_shows_the_whole_error_and_the_page_s_own_name(look: Looks, engine: Engine) -> None:
    page = admin(look, engine, **PHONE)
    order = placed(page, tokenIn="NEW", tokenOut="USDC", amount="7", clientOrderId="narrow-failed")
    status = lambda: httpx.get(f"{engine.url}/api/orders/{order}", timeout=60).json()["status"]  # noqa: E731
    until(lambda: status() == "failed", PATIENCE_MS / 1000)
    page.goto(f"{engine.url}/admin/orders/deadletter/")
    error = page.locator("td.field-last_message").first
    expect(error).to_contain_text("RAYDIUM: The venue has no pool for the pair; METEORA")
    assert error.evaluate(CUT_BELOW) <= 0
    page.goto(f"{engine.url}{LIST}{order}/change/")
    names = page.locator("h1 a")
    assert [name.is_visible() for name in names.all()] == [False] * (names.count() - 1) + [True]


def test_an_order_s_page_speaks_no_python(look: Looks, engine: Engine) -> None:
    page = admin(look, engine)
    order = placed(page, **(LONG | STOP | {"clientOrderId": "words"}))
    page.goto(f"{engine.url}{LIST}{order}/change/")
    expect(page.locator(".steps")).to_contain_text("resting yes")
    expect(page.get_by_text("Valid until")).to_have_count(0)


def test_the_header_fits_a_phone_while_it_connects(look: Looks, engine: Engine) -> None:
    page = admin(look, engine, "/", **PHONE)
    width = page.evaluate(
        """() => {
            const link = document.getElementById("link");
            link.dataset.state = "connecting";
            link.querySelector("span").textContent = "connecting";
            return document.documentElement.scrollWidth;
        }"""
    )
    assert width <= 390
