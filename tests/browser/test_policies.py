"""The pages work under their Content-Security-Policy: the browser reports no breach of it."""

import httpx
import pytest
from playwright.sync_api import Browser

from tests.browser.conftest import PATIENCE_MS
from tests.engine import Engine


@pytest.mark.parametrize("path", ["/", "/api/docs", "/admin/", "/admin/orders/order/"])
def test_no_page_breaks_its_own_policy(engine: Engine, browser: Browser, path: str) -> None:
    context = browser.new_context(base_url=engine.url)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    breaches: list[str] = []
    page.on("console", lambda said: "Content Security Policy" in said.text and breaches.append(said.text))
    if path.startswith("/admin/"):
        page.goto("/admin/login/")
        page.fill("#id_username", engine.credentials["admin"]["username"])
        page.fill("#id_password", engine.credentials["admin"]["password"])
        page.click("[type=submit]")
        page.wait_for_url("**/admin/")
    page.goto(path)
    page.wait_for_load_state("load")
    if path == "/api/docs":
        page.get_by_text("/api/orders/execute").first.wait_for()
    assert breaches == []
    context.close()


def test_every_answer_has_its_policy(engine: Engine) -> None:
    page = httpx.get(f"{engine.url}/", timeout=60).headers["content-security-policy"]
    assert "script-src 'self';" in page and "frame-ancestors 'none'" in page
    data = httpx.get(f"{engine.url}/api/orders", timeout=60).headers
    assert data["content-security-policy"].startswith("default-src 'none'") and data["cache-control"] == "no-store"
    assert data["x-content-type-options"] == "nosniff" and data["x-frame-options"] == "DENY"
    staff = httpx.get(f"{engine.url}/admin/login/", timeout=60).headers
    assert "'unsafe-eval'" in staff["content-security-policy"] and "no-store" in staff["cache-control"]
