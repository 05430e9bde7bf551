"""Takes the pictures of the documentation from a running engine of this folder: `python scripts/screenshots.py` (DATA_DIR, PORT).

Needs Chromium (CHROMIUM says where it is, if it is not on the PATH) and the requirements of requirements-dev.txt.
"""

import json
import os
import shutil
import sys
from pathlib import Path

import httpx
from playwright.sync_api import Browser, Page, expect, sync_playwright

BASE = Path(__file__).resolve().parent.parent
IMAGES = BASE / "docs" / "images"
DATA_DIR = BASE / os.environ.get("DATA_DIR", ".data")
URL = f"http://127.0.0.1:{os.environ.get('PORT', '8000')}"
CHART_MS = 25_000
"""Long enough for the chart to have a shape."""
DESKTOP = {"viewport": {"width": 1360, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True, "device_scale_factor": 1.5}


def orders() -> None:
    """A little of everything, so that lists are not empty."""
    for order in (
        {"tokenIn": "JUP", "tokenOut": "USDC", "amount": "250"},
        {"tokenIn": "NEW", "tokenOut": "USDC", "amount": "10"},
        {"tokenIn": "SOL", "tokenOut": "USDC", "amount": "4", "type": "limit", "limitPrice": "130"},
        {"tokenIn": "USDC", "tokenOut": "NEW", "amount": "50", "type": "sniper", "slippageBps": 1000},
        {"tokenIn": "BONK", "tokenOut": "USDC", "amount": "2000000"},
        {"tokenIn": "USDC", "tokenOut": "SOL", "amount": "300"},
    ):
        httpx.post(f"{URL}/api/orders/execute", json=order).raise_for_status()


def shot(page: Page, name: str) -> None:
    page.screenshot(path=IMAGES / f"{name}.png")
    print(f"docs/images/{name}.png {(IMAGES / f'{name}.png').stat().st_size // 1024} kB")


def trading(browser: Browser, name: str, *, after: str, **options: object) -> None:
    page = browser.new_context(**options).new_page()
    page.goto(URL)
    page.wait_for_timeout(CHART_MS)
    page.get_by_role("button", name="Place market order").click()
    expect(page.locator("#detail-status")).to_have_text(after, timeout=20_000)
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(400)
    shot(page, name)
    page.context.close()


def admin(browser: Browser) -> None:
    page = browser.new_context(**DESKTOP).new_page()
    page.goto(f"{URL}/admin/")
    known = json.loads((DATA_DIR / "credentials.json").read_text())["admin"]
    page.fill("#id_username", known["username"])
    page.fill("#id_password", known["password"])
    page.get_by_role("button", name="Log in").click()
    page.locator("#landing").wait_for()
    shot(page, "admin")
    page.goto(f"{URL}/admin/orders/order/")
    shot(page, "admin-orders")


def main() -> None:
    program = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if not program:
        sys.exit("screenshots: no Chromium here")
    IMAGES.mkdir(exist_ok=True)
    orders()
    with sync_playwright() as playwright:
        root = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=program, args=["--disable-gpu", *root])
        trading(browser, "trading", after="submitted", **DESKTOP)
        trading(browser, "trading-dark", after="confirmed", color_scheme="dark", **DESKTOP)
        trading(browser, "phone", after="confirmed", **PHONE)
        admin(browser)
        browser.close()


if __name__ == "__main__":
    main()
