"""Positions and history on the trading page, against what the API says."""

from decimal import Decimal
from functools import partial
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PATIENCE_MS, Looks
from tests.browser.test_looks import PHONE, grave
from tests.engine import Engine
from tests.waiting import until

expect.set_options(timeout=PATIENCE_MS)


def confirmed(order: str) -> bool:
    return bool(httpx.get(order).json()["status"] == "confirmed")


@pytest.fixture(scope="module")
def traded(engine: Engine) -> list[dict[str, Any]]:
    """Bought and sold again, so that something is realised; and a token whose price comes from its pool."""
    for order in (
        {"tokenIn": "USDC", "tokenOut": "SOL", "amount": "300"},
        {"tokenIn": "SOL", "tokenOut": "USDC", "amount": "1"},
        {"tokenIn": "USDC", "tokenOut": "JUP", "amount": "40"},
    ):
        placed = httpx.post(f"{engine.url}/api/orders/execute", json=order).raise_for_status().json()
        until(partial(confirmed, f"{engine.url}/api/orders/{placed['orderId']}"), PATIENCE_MS / 1000)
    found: list[dict[str, Any]] = httpx.get(f"{engine.url}/api/positions").json()["positions"]
    return found


@pytest.mark.parametrize(
    "options", [{"color_scheme": "light", "reduced_motion": "reduce"}, {**PHONE, "color_scheme": "dark"}]
)
def test_positions_and_history_say_what_the_api_says(
    engine: Engine, look: Looks, traded: list[dict[str, Any]], options: dict[str, Any]
) -> None:
    page = look(**options)
    rows = page.locator("#positions tr")
    expect(rows).to_have_count(len(traded))
    for row, position in zip(rows.all(), traded, strict=True):
        expect(row).to_contain_text(position["token"])
        expect(row).to_contain_text(f"{int(abs(Decimal(position['amount']))):,}.")
    drawn = page.locator("#gains .sum").get_attribute("d") or ""
    assert drawn.count("V") >= 24, "a step for each hour"
    page.get_by_role("tab", name="History").click()
    fills = httpx.get(f"{engine.url}/api/fills?limit=25").json()["fills"]
    expect(page.locator("#fills tr")).to_have_count(len(fills))
    expect(page.locator("#fills tr").first).to_contain_text(fills[0]["venue"].lower())
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert grave(page, "#books") == []
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("tab", name="Positions")).to_be_focused()
    expect(page.locator("#panel-history")).to_be_hidden()
    assert grave(page, "#books") == []
