"""The rules of risk as this process knows them: the tables, read again within half a second of a change.

A thread of its own reads, so that a look-up costs the reading of an attribute and waits for nothing. What decides in the end are
the statements that claim and submit, which read the tables themselves.
"""

import logging
import threading
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings

from risk.values import EVERYBODY, Limits, Rule, TradingState
from runtime.postgres import CONNECT, set_up

log = logging.getLogger(__name__)

EVERY_S = 0.4
"""Between two looks: a change is promised to be seen within a second."""
FIRST_S = 5.0
"""How long the first one who asks waits for the first look."""
STATEMENT_TIMEOUT_MS = 2_000
SQL = Path(__file__).parent / "sql"
READ, VERSION = ((SQL / f"{name}.sql").read_text() for name in ("rules", "version"))

Connection = psycopg.Connection[Any]


class NotRead(psycopg.OperationalError):
    """The rules have not been read yet: Postgres did not answer."""


class Rules:
    """Reading begins with `start`, or with the first look-up."""

    def __init__(self) -> None:
        self._rules: Mapping[int, Rule] | None = None
        self._version: Any = None
        self._connection: Connection | None = None
        self._thread: threading.Thread | None = None
        self._state = threading.Condition()
        self._asked = self._looked = 0
        """Looks that were asked for, and those of them that were taken, whether Postgres answered or not."""
        self._closing = False
        self.any_money = False
        """Whether any limit counts money, so that somebody has to know what orders are worth."""

    def of(self, account_id: int) -> list[Rule]:
        """Everybody's and the account's, of at most a second ago; those alone that stop or limit anything."""
        rules = self._rules
        if rules is None:
            rules = self._first()
        if not rules:
            return []
        return [rules[each] for each in (EVERYBODY, account_id) if each in rules]

    def start(self) -> None:
        with self._state:
            if self._thread is None:
                self._closing, self._asked, self._looked = False, 1, 0
                self._thread = threading.Thread(target=self._run, name="risk", daemon=True)
                self._thread.start()

    def refresh(self) -> None:
        """Sees every change that was committed before this call, if Postgres answers. Blocks."""
        self.start()
        with self._state:
            self._asked += 1
            wanted = self._asked
            self._state.notify_all()
            self._state.wait_for(lambda: self._looked >= wanted, FIRST_S)

    def close(self) -> None:
        """Ends the reading; who asks later begins anew."""
        with self._state:
            thread, self._thread, self._closing = self._thread, None, True
            self._state.notify_all()
        if thread is not None:
            thread.join(FIRST_S)
        self._rules = self._version = None

    def _first(self) -> Mapping[int, Rule]:
        self.start()
        with self._state:
            self._state.wait_for(lambda: self._looked > 0, FIRST_S)
        if self._rules is None:
            raise NotRead("the rules of risk are not known yet: Postgres does not answer")
        return self._rules

    def _run(self) -> None:
        answered = True
        while not self._closing:
            asked = self._asked
            try:
                self._look()
                answered = True
            except psycopg.Error as error:
                if answered:
                    log.warning("the rules of risk cannot be read: %s", str(error).strip())
                answered = False
                self._hang_up()
            with self._state:
                self._looked = asked
                self._state.notify_all()
                self._state.wait_for(lambda: self._closing or self._asked > self._looked, EVERY_S)
        self._hang_up()

    def _look(self) -> None:
        if self._connection is None:
            name = "orderengine:risk"
            self._connection = psycopg.connect(settings.DATABASE_URL, autocommit=True, application_name=name, **CONNECT)
            set_up(self._connection, statement_timeout_ms=STATEMENT_TIMEOUT_MS)
        limited = [each.account_id for each in (self._rules or {}).values() if each.limits.has_budget]
        # The version is read first: a change that comes between the two is read twice, not missed.
        version = self._connection.execute(VERSION, {"limited": limited}, prepare=True).fetchone()
        if version != self._version or self._rules is None:
            found = [rule_of(row) for row in self._connection.execute(READ, prepare=True)]
            self._rules = {rule.account_id: rule for rule in found if rule.stops or rule.limits != NONE}
            self.any_money = any(rule.limits.counts_money for rule in found)
            self._version = version

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


NONE = Limits()


def rule_of(row: tuple[Any, ...]) -> Rule:
    """A rule of a row of `rules.sql`."""
    account_id, state, notional, open_orders, per_minute, spend, loss, collar, allowed, denied, spent, lost = row
    limits = Limits(
        max_notional_per_order=notional,
        max_open_orders=open_orders,
        max_orders_per_minute=per_minute,
        max_daily_spend=spend,
        max_daily_loss=loss,
        price_collar_bps=collar,
        allowed_tokens=None if allowed is None else tuple(allowed),
        denied_tokens=tuple(denied or ()),
    )
    return Rule(
        account_id=account_id,
        state=TradingState(state),
        limits=limits,
        spent=Decimal(spent),
        lost=Decimal(lost),
    )


rules = Rules()
"""Of this process."""
