"""An order for an exact output on the page: in its list, in its card, in the dialog that amends it."""

import re
from typing import Any

import httpx
from playwright.sync_api import expect

from tests.browser.conftest import Looks, Staff
from tests.engine import Engine


def placed(engine: Engine, **fields: Any) -> str:
    body = {"tokenIn": "USDC", "tokenOut": "SOL", **fields}
    answer = httpx.post(f"{engine.url}/api/orders/execute", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["orderId"])


def test_it_is_shown_by_what_it_receives_and_amended(engine: Engine, look: Looks, staff: Staff) -> None:
    staff.hold("100")
    order = placed(engine, amountOut="2.5", slippageBps=500)
    resting = placed(engine, amountOut="1.25", type="limit", limitPrice="80", priceIn="tokenIn")
    page = look()
    page.locator(f'#orders tr[data-id="{order}"] button.open').click()
    expect(page.locator("#detail-title")).to_have_text("USDC → 2.5 SOL")
    expect(page.locator("#detail-status")).to_have_text("confirmed")
    facts = page.locator("#facts")
    expect(facts).to_contain_text(re.compile(r"Paid25\d\.\d+ USDC"))
    expect(facts).to_contain_text("Received2.5 SOL")
    expect(facts).to_contain_text(re.compile(r"Paid at most2\d\d\.\d+ USDC"))
    expect(facts).not_to_contain_text("At least")
    page.get_by_text("Quotes and the choice of venue").click()
    expect(page.locator("#detail-quotes")).to_contain_text("Takes")
    expect(page.locator("#detail-quotes tr.won")).to_contain_text(re.compile(r"25\d\.\d+ USDC"))

    row = page.locator(f'#orders tr[data-id="{resting}"]')
    expect(row).to_contain_text("USDC → 1.25 SOL")
    row.get_by_role("button", name="Amend the order of USDC for 1.25 SOL").click()
    page.get_by_label("Amount received, SOL").fill("1.5")
    page.locator("#amend").get_by_role("button", name="Amend").click()
    expect(row).to_contain_text("USDC → 1.5 SOL")
