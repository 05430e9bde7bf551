"""The rules of risk as this process knows them: the tables, read again within half a second of a change.

A thread of its own reads, so that a look-up costs the reading of an attribute and waits for nothing. What decides in the end are
the statements that claim and submit, which read the tables themselves.
"""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings

from risk.values import EVERYBODY, Limits, Rule, TradingState
from routing.gates import of_json
from runtime.follower import Connection, Follower

EVERY_S = 0.4
"""Between two looks: a change is promised to be seen within a second."""
SQL = Path(__file__).parent / "sql"
READ, VERSION = ((SQL / f"{name}.sql").read_text() for name in ("rules", "version"))


class NotRead(psycopg.OperationalError):
    """The rules have not been read yet: Postgres did not answer."""


class Rules:
    """Reading begins with `start`, or with the first look-up."""

    def __init__(self) -> None:
        self._rules: Mapping[int, Rule] | None = None
        self._version: Any = None
        self._follower = Follower(
            "risk", "the rules of risk", lambda: settings.DATABASE_URL, self._look, every_s=EVERY_S
        )
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
        self._follower.start()

    def refresh(self) -> None:
        """Sees every change that was committed before this call, if Postgres answers. Blocks."""
        self._follower.refresh()

    def close(self) -> None:
        """Ends the reading; who asks later begins anew."""
        self._follower.close()
        self._rules = self._version = None

    def _first(self) -> Mapping[int, Rule]:
        self._follower.first()
        if self._rules is None:
            raise NotRead("the rules of risk are not known yet: Postgres does not answer")
        return self._rules

    def _look(self, connection: Connection) -> None:
        limited = [each.account_id for each in (self._rules or {}).values() if each.limits.has_budget]
        # The version is read first: a change that comes between the two is read twice, not missed.
        version = connection.execute(VERSION, {"limited": limited}, prepare=True).fetchone()
        if version != self._version or self._rules is None:
            found = [rule_of(row) for row in connection.execute(READ, prepare=True)]
            self._rules = {rule.account_id: rule for rule in found if rule.stops or rule.limits != NONE}
            self.any_money = any(rule.limits.counts_money for rule in found)
            self._version = version


NONE = Limits()


def rule_of(row: tuple[Any, ...]) -> Rule:
    """A rule of a row of `rules.sql`."""
    account_id, state, notional, open_orders, per_minute, spend, loss, collar, allowed, denied, gates, spent, lost = row
    limits = Limits(
        max_notional_per_order=notional,
        max_open_orders=open_orders,
        max_orders_per_minute=per_minute,
        max_daily_spend=spend,
        max_daily_loss=loss,
        price_collar_bps=collar,
        allowed_tokens=None if allowed is None else tuple(allowed),
        denied_tokens=tuple(denied or ()),
        gates=of_json(gates),
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
