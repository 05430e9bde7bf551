"""A real Chromium against one running engine for all browser tests."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.engine import Engine
from tests.waiting import until

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
FLAGS = ["--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]
PATIENCE_MS = 45_000
"""For what takes two seconds on a quiet machine, or six while the engine is still starting its matchers."""


def chromium() -> str | None:
    named = os.environ.get("CHROMIUM")
    return named if named else next((found for name in NAMES if (found := shutil.which(name))), None)


def flags() -> list[str]:
    return [*FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if chromium():
        return
    why = "no Chromium here: `apt install chromium`, or say where it is with CHROMIUM=/path"
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=why))


@pytest.fixture(scope="package")
def engine() -> Iterator[Engine]:
    with Engine(MOCK_LATENCY="0.3", MOCK_SEED="5", RETRY_BASE_MS="100").running() as engine:
        yield engine


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=flags())
        yield browser
        browser.close()


class Looks:
    """Opens pages of the engine; a script's error on any of them fails the test."""

    def __init__(self, browser: Browser, url: str) -> None:
        self._browser = browser
        self._url = url
        self.contexts: list[BrowserContext] = []
        self.errors: list[str] = []

    def __call__(self, path: str = "/", **options: Any) -> Page:
        context = self._browser.new_context(**({"viewport": {"width": 1360, "height": 900}} | options))
        context.set_default_timeout(PATIENCE_MS)
        self.contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.goto(self._url + path)
        return page


@pytest.fixture
def look(browser: Browser, engine: Engine) -> Iterator[Looks]:
    looks = Looks(browser, engine.url)
    yield looks
    for context in looks.contexts:
        context.close()
    assert not looks.errors


class Staff:
    """What staff does over the API while somebody looks at the page."""

    def __init__(self, engine: Engine) -> None:
        headers = {"Authorization": f"Bearer {engine.credentials['staffApiKey']}"}
        self._http = httpx.Client(base_url=engine.url, headers=headers, timeout=PATIENCE_MS / 1000)

    def close(self) -> None:
        self._http.close()

    def move(self, pair: str, **changes: Any) -> None:
        self._http.post("/api/mock/market", json={"pair": pair, **changes}).raise_for_status()

    def save_token(self, mint: str, **said: Any) -> None:
        """The page that is opened next knows it."""
        self._http.post("/api/tokens", json={"mint": mint, **said}).raise_for_status()

    def hold(self, price: str) -> None:
        """SOL stands still at the price, and no order meets an older one: the poller has seen it at both venues."""
        self.move("SOL-USDC", price=price, hold=True)

        def seen() -> bool:
            quotes = self._http.get("/api/quotes/SOL-USDC").raise_for_status().json()
            return all(quotes[venue] and quotes[venue]["price"] == price for venue in ("raydium", "meteora"))

        until(seen, PATIENCE_MS / 1000)


@pytest.fixture
def staff(engine: Engine) -> Iterator[Staff]:
    staff = Staff(engine)
    yield staff
    staff.close()


def sign_in(page: Page, engine: Engine) -> None:
    admin = engine.credentials["admin"]
    page.fill("#id_username", admin["username"])
    page.fill("#id_password", admin["password"])
    page.get_by_role("button", name="Log in").click()
    page.wait_for_load_state()
