"""TWAP and DCA in the ticket: the page cuts a schedule as the engine does, and what it shows is what is made."""

import random
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import httpx
import pytest
from playwright.sync_api import Page, expect

from orders.errors import ApiError
from orders.limits import per_token_in
from orders.plans.plan_in import ScheduleIn, schedule_of
from orders.plans.schedule import amount_of, begins_at
from orders.plans.values import Schedule
from orders.wire import text
from routing.mock.tokens import REGISTRY
from routing.world import registry
from tests.browser.conftest import PATIENCE_MS, Looks, Staff
from tests.browser.test_looks import PHONE, grave
from tests.engine import Engine
from triggers.rules import GTE, LTE

expect.set_options(timeout=PATIENCE_MS)
MOST = 1_000
"""Slices that are compared one by one."""
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
CUT = """async (wishes) => {
    const { begins, cut } = await import('/static/trade/slicing.js');
    return wishes.map(({ places, at, timing, ...wish }) => {
        const made = cut(wish, places);
        return made && { ...made, begins: at.map((n) => begins(n, timing)) };
    });
}"""
INVERSE = """async (prices) => {
    const { inverse } = await import('/static/trade/decimals.js');
    return prices.map((price) => [inverse(price, true), inverse(price, false)]);
}"""


@pytest.fixture(scope="module", autouse=True)
def tokens_of_the_mock() -> Iterator[None]:
    """For what the engine's code says in this process; the engine itself is another one."""
    registry.fix(REGISTRY)
    yield
    registry.close()


def amounts(chance: random.Random, places: int) -> Iterator[Decimal]:
    """Of every size that a chain can count."""
    while True:
        yield Decimal(chance.randrange(1, 10 ** chance.randrange(1, 19))).scaleb(-places)


def wishes(chance: random.Random) -> Iterator[tuple[ScheduleIn, dict[str, Any]]]:
    """The same wish for the engine and for the page."""
    while True:
        token = chance.choice([token for token in REGISTRY.tokens if token.label in ("SOL", "USDC", "BONK")])
        one, other = sorted(amount for _, amount in zip(range(2), amounts(chance, token.decimals), strict=False))
        slices, every_s = chance.randrange(1, 1001), chance.randrange(60, 90_000)
        asked: dict[str, Any] = {
            "twap": {"amount": other, "slices": slices, "window": timedelta(seconds=every_s * slices)},
            "dca": {"slice_amount": one, "slices": slices, "every": timedelta(seconds=every_s)},
            "dca to a total": {"slice_amount": one, "amount": other, "every": timedelta(seconds=every_s)},
            "dca for ever": {"slice_amount": one, "every": timedelta(seconds=every_s)},
        }[kind := chance.choice(["twap", "dca", "dca to a total", "dca for ever"])]
        jitter = chance.randrange(0, 9001)
        out = "SOL" if token.label != "SOL" else "USDC"
        plan = ScheduleIn(kind="schedule", token_in=token.label, token_out=out, jitter_bps=jitter, **asked)
        said = {"twap": ("total", "slices"), "dca": ("each", "slices"), "dca to a total": ("each", "total")}
        values = {"total": text(other), "each": text(one), "slices": slices}
        wish = {name: values[name] for name in said.get(kind, ("each",))}
        timing = {"startMs": NOW.timestamp() * 1000, "everyS": every_s, "jitterBps": jitter}
        yield plan, {**wish, "places": token.decimals, "timing": timing}


def engine_s(spec: Schedule) -> list[Decimal]:
    """What the engine spends slice by slice, when each is confirmed."""
    spent, made = Decimal(0), []
    while (amount := amount_of(spec, len(made) + 1, spent)) > 0 and len(made) <= MOST:
        spent += amount
        made.append(amount)
    return made


def test_the_page_cuts_a_schedule_as_the_engine_does(look: Looks) -> None:
    chance = random.Random(21)
    asked = [wish for _, wish in zip(range(600), wishes(chance), strict=False)]
    for _, wish in asked:
        wish["at"] = [1, 2, wish.get("slices") or 3]
    found = look().evaluate(CUT, [wish for _, wish in asked])
    compared = refused = 0
    for (plan, wish), made in zip(asked, found, strict=True):
        try:
            spec = schedule_of(plan, NOW)
        except ApiError as error:
            # Slices of nothing, and more than a chain can count, which the page leaves to the engine.
            assert made is None or "can count" in str(error.details), wish
            refused += 1
            continue
        compared += 1
        same(spec, wish, made)
    assert compared > 300 and refused > 0


def same(spec: Schedule, wish: dict[str, Any], made: dict[str, Any]) -> None:
    plan_id = uuid4()
    for n, (first, latest) in zip(wish["at"], made["begins"], strict=True):
        at = begins_at(spec, plan_id, n).timestamp() * 1000
        assert first - 0.01 <= at <= latest + 0.01, wish
    assert Decimal(made["each"]) == spec.slice_amount, wish
    if spec.total is None:
        assert made["slices"] is made["last"] is made["total"] is None
        return
    assert Decimal(made["total"]) == spec.total
    if made["slices"] > MOST:
        last = Decimal(made["last"])
        assert 0 < last <= spec.slice_amount and (spec.total - last) % spec.slice_amount == 0, wish
        return
    mine = [Decimal(made["each"])] * (made["slices"] - 1) + [Decimal(made["last"])]
    assert mine == engine_s(spec), wish
    assert sum(mine) == spec.total


def test_a_price_is_turned_as_the_engine_turns_it(look: Looks) -> None:
    chance = random.Random(22)
    prices = [
        Decimal(chance.randrange(1, 10 ** chance.randrange(1, 18))).scaleb(-chance.randrange(0, 19)).normalize()
        for _ in range(400)
    ]
    found = look().evaluate(INVERSE, [text(price) for price in prices])
    for price, (up, down) in zip(prices, found, strict=True):
        assert Decimal(up) == per_token_in(price, GTE), price
        assert Decimal(down) == per_token_in(price, LTE), price


def scheduled(look: Looks, scheme: str, **options: Any) -> Page:
    page = look(**({"reduced_motion": "reduce"} | options))
    page.locator("#tokenIn").select_option("USDC")
    page.locator("#tokenOut").select_option("SOL")
    page.get_by_role("radio", name="Schedule").check(force=True)
    page.get_by_role("radio", name=scheme).check(force=True)
    return page


def placed(page: Page, engine: Engine, button: str) -> dict[str, Any]:
    """The plan that the ticket makes, as the engine keeps it; then it is cancelled."""
    page.get_by_role("button", name=button).click()
    expect(page.locator("#plan-status")).to_be_visible()
    plan = page.locator("#plans tr[aria-current]").get_attribute("data-id")
    url = f"{engine.url}/api/plans/{plan}"
    found: dict[str, Any] = httpx.get(url, timeout=60).json()
    httpx.delete(url, timeout=60).raise_for_status()
    return found


def test_a_twap_is_previewed_to_the_base_unit_and_made_as_shown(look: Looks, staff: Staff, engine: Engine) -> None:
    staff.hold("100")
    page = scheduled(look, "TWAP")
    page.get_by_label("You pay in all").fill("1000")
    page.locator("#slices").fill("7")
    said = page.locator("#slices-said")
    expect(said).to_contain_text("7 slices: 142.857142 USDC, the last 142.857148, one every 8 min 34 s")
    expect(said).to_contain_text("1,000 USDC in all")
    expect(page.locator("#slices-bars i")).to_have_count(7)
    expect(page.locator("#expected")).to_have_text(re.compile(r"≈ 1\.42\d* each"))
    page.locator("#slices-all summary").click()
    rows = page.locator("#slices-rows tr")
    expect(rows).to_have_count(7)
    expect(rows.last).to_contain_text("142.857148")
    page.locator(".more summary").click()
    page.locator("#band-unit").click()
    expect(page.locator("#band-unit")).to_contain_text("USDC per SOL")
    page.get_by_role("textbox", name="Lowest price").fill("90")
    page.get_by_role("textbox", name="Highest price").fill("150")
    page.get_by_label("Jitter").fill("12.5")
    page.get_by_label("Stop after failures").fill("3")
    page.get_by_label("What an outage missed").select_option("spread")
    expect(page.get_by_role("slider", name="Highest price")).to_have_attribute("aria-valuenow", "150")
    page.get_by_role("slider", name="Lowest price").focus()
    page.keyboard.press("PageUp")
    expect(page.get_by_role("textbox", name="Lowest price")).to_have_value("90.9")
    assert grave(page) == []
    spec = placed(page, engine, "Start TWAP")["spec"]
    assert (spec["total"], spec["slices"], spec["sliceAmount"], spec["everyS"]) == ("1000", 7, "142.857142", 3600 / 7)
    assert (spec["jitterBps"], spec["stopAfterFailures"], spec["catchUp"]) == (1250, 3, "spread")
    # At most 150 USDC for a SOL is at least so much SOL for a USDC: never more than was asked for.
    assert (spec["minPrice"], spec["maxPrice"]) == ("0.006666666666666667", "0.011001100110011001")


def test_a_dca_ends_at_its_total_on_a_phone(look: Looks, staff: Staff, engine: Engine) -> None:
    staff.hold("100")
    page = scheduled(look, "DCA", **PHONE)
    page.get_by_label("You pay each time").fill("20")
    page.locator("#unit").select_option("days")
    expect(page.locator("#slices-said")).to_contain_text("No end: 20 USDC, one every 1 d")
    page.locator("#ends").select_option("total")
    page.locator("#total").fill("50.5")
    expect(page.locator("#slices-said")).to_contain_text(
        "3 slices: 20 USDC, the last 10.5, one every 1 d. 50.5 USDC in all"
    )
    page.locator("#slices-all summary").tap()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert grave(page, "#ticket") == []
    spec = placed(page, engine, "Start DCA")["spec"]
    assert (spec["total"], spec["sliceAmount"], spec.get("slices"), spec["everyS"]) == ("50.5", "20", None, 86_400)


def test_what_is_wrong_with_a_schedule_is_said_at_its_field(look: Looks, staff: Staff) -> None:
    staff.hold("100")
    page = scheduled(look, "DCA")
    page.locator("#duration").fill("30")
    page.locator("#unit").select_option("seconds")
    button = page.get_by_role("button", name="Start DCA")
    button.click()
    expect(page.locator("#duration-error")).to_have_text("From 1 min to a year for each slice.")
    expect(page.locator("#duration")).to_be_focused()
    page.locator("#ends").select_option("times")
    expect(page.locator("#duration-error")).to_have_text("")
    page.locator("#slices").fill("1001")
    page.locator(".more summary").click()
    page.get_by_role("textbox", name="Highest price").fill("1e400")
    page.locator(".more summary").click()
    button.click()
    expect(page.locator("#slices-error")).to_have_text("A whole number from 1 to 1000.")
    expect(page.locator("#maxPrice-error")).to_be_visible()  # What is folded away is opened.
    # What only the engine knows, turned: it calls the ticket's lowest price the highest.
    page.locator("#slices").fill("2")
    page.locator("#band-unit").click()
    page.get_by_role("textbox", name="Highest price").fill("")
    page.get_by_role("textbox", name="Lowest price").fill("0.0000000000000000001")
    button.click()
    expect(page.locator("#minPrice-error")).to_have_text(re.compile("must be between|out of range"))
    assert page.locator("#plan").is_hidden()
