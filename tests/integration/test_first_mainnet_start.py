"""What holds an engine on mainnet back: halted at its first start, and no trading without caps per order and per day."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

import celery_app  # noqa: F401  (the broker)
from orders.ledger.statements import Connection
from risk.changes import FIRST_START, By, CapsNotSet, halt_first_start, set_limits, set_state
from risk.models import Change, Rule
from risk.rules import rules
from risk.values import EVERYBODY, Limits, TradingState
from routing.price_hashes import PairPrices
from routing.prices import PriceStore
from routing.values import Tick
from routing.venues import RAYDIUM
from tests.integration.test_risk_api import put, staff, switch, trader  # noqa: F401

BY = By("an operator", staff=True)
CAPS: dict[str, Any] = {"max_notional_per_order": 50, "max_daily_spend": 500}
pytestmark = pytest.mark.filterwarnings("ignore:No directory at")


@pytest.fixture
def mainnet(database: Connection, settings: Any) -> Iterator[None]:
    settings.CAPS_REQUIRED = True
    yield
    rules.close()


def state() -> str:
    return str(Rule.objects.get(pk=EVERYBODY).state)


def test_the_first_start_halts_and_no_later_one(mainnet: None) -> None:
    halt_first_start()
    assert state() == "HALTED" and Rule.objects.get(pk=EVERYBODY).state_by_staff

    set_limits(EVERYBODY, Limits(**CAPS), BY)
    set_state(EVERYBODY, TradingState.ACTIVE, BY)
    halt_first_start()
    assert state() == "ACTIVE"
    assert Change.objects.filter(by=FIRST_START).count() == 1


def test_no_other_mode_is_halted(database: Connection) -> None:
    halt_first_start()
    assert state() == "ACTIVE"


@pytest.mark.parametrize("limits", [{}, {"max_daily_spend": 500}, {"max_notional_per_order": 50}])
@pytest.mark.parametrize("wanted", [TradingState.ACTIVE, TradingState.REDUCING])
def test_nothing_trades_before_both_caps_are_set(mainnet: None, limits: dict[str, Any], wanted: TradingState) -> None:
    halt_first_start()
    set_limits(EVERYBODY, Limits(**limits), BY)
    with pytest.raises(CapsNotSet):
        set_state(EVERYBODY, wanted, BY)
    assert state() == "HALTED"


def test_caps_stay_while_anybody_trades(mainnet: None, staff: Client) -> None:  # noqa: F811
    halt_first_start()
    assert switch(staff, state="ACTIVE").json()["error"]["code"] == "CAPS_NOT_SET"
    caps = {"maxNotionalPerOrder": "50", "maxDailySpend": "500"}
    assert put(staff, "/api/risk?account=*", **caps).status_code == 200
    assert switch(staff, state="ACTIVE").status_code == 200
    answer = put(staff, "/api/risk?account=*", maxDailySpend="500")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "CAPS_NOT_SET")
    assert Rule.objects.get(pk=EVERYBODY).max_notional_per_order == 50
    assert switch(staff, state="HALTED").status_code == 200
    assert put(staff, "/api/risk?account=*").status_code == 200


def test_a_price_of_another_mode_is_not_seen(database: Connection, settings: Any) -> None:
    now = Tick("SOL-USDC", RAYDIUM, Decimal(150), 25, Decimal(10_000), Decimal(5), datetime.now(UTC))
    market = PairPrices(now.pair, {now.venue: now}, now, now.observed_at)
    mock, live = (PriceStore(settings.REDIS_URL, mode=mode) for mode in ("mock", "mainnet"))
    try:
        mock.write([market], {})
        assert mock.read([now.pair])[now.pair].best is not None
        assert live.read([now.pair]) == {}
        live.write([market], {})
    finally:
        mock.close()
        live.close()


SAID = "from django.conf import settings; print(settings.EXECUTION_MODE, settings.LOCAL_MODE, settings.CAPS_REQUIRED)"


def configured(tmp_path: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    given = {"DJANGO_SETTINGS_MODULE": "orderengine.settings", "DATA_DIR": str(tmp_path), "SECRET_KEY": "k" * 50}
    environment = kept | given | {"RPC_URLS": "http://127.0.0.1:9"} | variables
    command = [sys.executable, "-c", SAID]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_mainnet_wants_a_second_word_and_a_key_of_every_request(tmp_path: Path) -> None:
    refused = configured(tmp_path, EXECUTION_MODE="mainnet")
    assert refused.returncode and "MAINNET_I_UNDERSTAND" in refused.stderr
    paper = configured(tmp_path, EXECUTION_MODE="mainnet", PAPER="true")
    assert paper.stdout.split() == ["mainnet", "True", "False"], "there is no money that needs caps or a key"
    assert "PAPER" in configured(tmp_path, EXECUTION_MODE="mock", PAPER="true").stderr
    agreed = configured(tmp_path, EXECUTION_MODE="mainnet", MAINNET_I_UNDERSTAND="true")
    assert agreed.stdout.split() == ["mainnet", "False", "True"], agreed.stderr
    assert configured(tmp_path, EXECUTION_MODE="devnet").stdout.split() == ["devnet", "True", "False"]
