"""The admin and the sign-in, as they look: nothing cut, nothing over anything else, on a phone and on a wide screen."""

import re
import time

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PATIENCE_MS, Looks, sign_in
from tests.browser.test_looks import PHONE, grave
from tests.engine import Engine

expect.set_options(timeout=PATIENCE_MS)
LIST = "/admin/orders/order/"
LONG = {"tokenIn": "BONK", "tokenOut": "USDC", "amount": "123456789.12345", "clientOrderId": "c" * 64}
STOP = {"type": "limit", "limitPrice": "0.000018123456789012", "triggerCondition": "lte"}
PAGES = (
    "/",
    "/login",
    "/password",
    "/admin/",
    "/admin/quality/",
    LIST,
    "/admin/orders/deadletter/",
    "/admin/orders/executor/",
    "/admin/orders/plan/",
    "/admin/risk/rule/",
    "/admin/risk/rule/add/",
    "/admin/risk/change/",
    "/admin/webhooks/endpoint/",
    "/admin/webhooks/delivery/",
    "/admin/accounts/account/",
    "/admin/accounts/account/1/change/",
    "/admin/accounts/apikey/",
    "/admin/accounts/apikey/add/",
    "/admin/auth/user/1/change/",
    "/admin/auth/group/1/change/",
    "/admin/django_celery_beat/periodictask/",
    "/admin/axes/accessattempt/",
)
OVERLAPS = """() => {
    const boxes = [...document.querySelectorAll('.facts dt, .facts dd')].map((e) => [e.innerText, e.getBoundingClientRect()]);
    const hit = ([, a], [, b]) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;
    return boxes.flatMap((a, n) => boxes.slice(n + 1).filter((b) => hit(a, b)).map((b) => `${a[0]} / ${b[0]}`));
}"""
CUT = """(select) => {
    const style = getComputedStyle(select);
    const pen = document.createElement('canvas').getContext('2d');
    pen.font = style.font;
    const text = Math.max(...[...select.options].map((option) => pen.measureText(option.text).width));
    return text + parseFloat(style.paddingLeft) + parseFloat(style.paddingRight) + 16 - select.clientWidth;
}"""


def admin(look: Looks, engine: Engine, path: str = "/admin/", **options: object) -> Page:
    page = look("/admin/login/", **options)
    sign_in(page, engine)
    page.goto(engine.url + path)
    return page


def placed(page: Page, **order: str) -> str:
    origin = "/".join(page.url.split("/")[:3])
    answer = page.request.post(f"{origin}/api/orders/execute", data=order)
    assert answer.ok, answer.text()
    return str(answer.json()["orderId"])


def planned(engine: Engine) -> str:
    """A plan whose page has much to say; it is cancelled."""
    exits = [{"kind": "stopLoss", "atBps": 800}, {"kind": "trailing", "trailBps": 900, "activateAtBps": 100}]
    body = {"kind": "bracket", "tokenIn": "SOL", "tokenOut": "USDC", "amount": "2", "entry": False, "exits": exits}
    with httpx.Client(base_url=engine.url, timeout=60) as http:
        answer = http.post("/api/plans", json=body | {"clientPlanId": "p" * 40 + str(time.time_ns())})
        plan = str(answer.raise_for_status().json()["planId"])
        http.delete(f"/api/plans/{plan}").raise_for_status()
    return plan


def test_a_plan_s_page_speaks_no_python(look: Looks, engine: Engine) -> None:
    page = admin(look, engine)
    page.goto(f"{engine.url}/admin/orders/plan/{planned(engine)}/change/")
    expect(page.locator("#facts")).to_contain_text(
        "trail 9 % below the highest, once 1 % above the cost, slippage 1 % to 10 %"
    )
    steps = page.locator(".steps").last
    expect(steps).to_contain_text("created stop (2), trail (2)")
    expect(steps).to_contain_text("cancelled stop, trail")
    expect(page.locator("body")).not_to_contain_text("{'")
    assert page.evaluate(OVERLAPS) == []
    assert grave(page, ".panel") == []


def test_an_order_s_page_says_what_its_type_has_in_words(look: Looks, engine: Engine) -> None:
    page = admin(look, engine, LIST)
    order = placed(page, **(LONG | STOP | {"clientOrderId": "stop-" + "s" * 59}))
    page.goto(f"{engine.url}{LIST}{order}/change/")
    facts = page.locator("#facts")
    expect(facts).to_contain_text("Fires at")
    expect(facts).to_contain_text("≤ 0.000018123456789012 USDC per BONK")
    expect(facts).to_contain_text(order)
    for other in ("Tx hash", "Min liquidity", "Liquidity at least", "Trigger kind", "Received", "Failure"):
        expect(page.locator("body")).not_to_contain_text(other)
    assert page.evaluate(OVERLAPS) == []
    assert grave(page, "#facts") == []
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate(OVERLAPS) == []


def test_the_list_names_each_column_once_and_says_how_long_it_is(look: Looks, engine: Engine) -> None:
    page = admin(look, engine, LIST)
    order = placed(page, **(LONG | {"clientOrderId": "list-" + "l" * 59}))
    page.goto(f"{engine.url}{LIST}?q={order}")
    names = [text.strip().lower() for text in page.locator("#result_list thead th").all_inner_texts() if text.strip()]
    assert len(names) == len(set(names)) and "order" not in names
    expect(page.locator(".keyset")).to_have_text("1 order")
    cells = page.locator("#result_list tbody tr").first.locator("span.nowrap")
    assert all(box["height"] < 30 for cell in cells.all() if (box := cell.bounding_box()))
    page.goto(f"{engine.url}{LIST}?q=nothing-has-this-id")
    expect(page.locator(".nothing")).to_contain_text("Nothing matches")


@pytest.mark.parametrize("options", [PHONE, {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"}])
def test_no_page_scrolls_sideways(look: Looks, engine: Engine, options: dict[str, object]) -> None:
    page = admin(look, engine, "/", **options)
    placed(page, **(LONG | STOP | {"clientOrderId": f"{len(options)}-" + "w" * 50}))
    width = page.viewport_size["width"] if page.viewport_size else 0
    wide = []
    for path in (*PAGES, f"/admin/orders/plan/{planned(engine)}/change/"):
        page.goto(engine.url + path)
        page.wait_for_load_state()
        if page.evaluate("document.documentElement.scrollWidth") > width:
            wide.append(path)
    assert wide == []


def test_orders_with_long_values_stay_on_their_card(look: Looks) -> None:
    page = look(viewport={"width": 1280, "height": 900})
    placed(page, **(LONG | STOP | {"clientOrderId": "card-" + "k" * 50}))
    page.reload()
    card = page.get_by_role("region", name="Orders", exact=True)
    row = page.locator("#orders tr").first
    expect(row.get_by_role("button", name="Cancel")).to_be_visible()
    inside, outside = row.bounding_box(), card.bounding_box()
    assert inside and outside and inside["x"] + inside["width"] <= outside["x"] + outside["width"]


@pytest.mark.parametrize("width", [390, 1280, 1920])
def test_every_choice_of_the_ticket_can_be_read(look: Looks, width: int) -> None:
    page = look(viewport={"width": width, "height": 900})
    page.get_by_role("radio", name="Limit").check(force=True)
    assert page.locator("#triggerCondition").evaluate(CUT) <= 0
    page.get_by_role("radio", name="Sniper").check(force=True)
    assert page.locator("#kind").evaluate(CUT) <= 0


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_who_trades_signs_in_and_out_on_the_trading_page(look: Looks, engine: Engine, colours: str) -> None:
    page = look(color_scheme=colours, reduced_motion="reduce")
    page.get_by_role("link", name="Sign in").first.click()
    assert page.url.endswith("/login")
    assert grave(page) == []
    page.get_by_label("Username").fill(engine.credentials["admin"]["username"])
    page.get_by_label("Password").fill("not this one")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("correct username and password")
    page.get_by_label("Username").fill(engine.credentials["admin"]["username"])
    page.get_by_label("Password").fill(engine.credentials["admin"]["password"])
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator(".who")).to_have_text(re.compile("admin"))
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("link", name="Sign in").first).to_be_visible()
