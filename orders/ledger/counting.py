"""How many orders an account, and everybody together, may have open and place within a minute: decided under a lock."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from orders.ids import uuid7_at
from orders.ledger.queries import query
from orders.ledger.statements import Connection, accept
from orders.ledger.values import Answer, NewOrder, Unknown
from risk.values import EVERYBODY, Denial, over

LOCK, COUNT = query("lock_rules"), query("count_orders")
MINUTE_S = 60


@dataclass(slots=True)
class Count:
    """Of one rule. A limit of None limits nothing."""

    max_open: int | None
    open: int
    max_made: int | None
    made: int

    def denial(self) -> Denial | None:
        """Why one more is too many."""
        if self.max_open is not None and self.open >= self.max_open:
            return over("OPEN_ORDERS_EXCEED_MAXIMUM", self.open + 1, self.max_open)
        if self.max_made is not None and self.made >= self.max_made:
            return over("ORDERS_PER_MINUTE_EXCEED_MAXIMUM", self.made + 1, self.max_made)
        return None

    def add(self) -> None:
        self.open += 1
        self.made += 1


class Counted:
    """What is counted for some accounts. Made in a transaction, which keeps others from counting until it ends."""

    def __init__(self, connection: Connection, accounts: Iterable[int]) -> None:
        named = {"accounts": sorted({EVERYBODY, *accounts})}
        connection.execute(LOCK, named, prepare=True)
        since = uuid7_at(time.time() - MINUTE_S)
        rows = connection.execute(COUNT, {**named, "since": since}, prepare=True)
        self._counts = {account_id: Count(*row) for account_id, *row in rows}

    def add(self, account_id: int) -> Denial | None:
        """Counts one more order of the account, or says why that is too many."""
        counts = [self._counts[each] for each in (EVERYBODY, account_id) if each in self._counts]
        for count in counts:
            if denial := count.denial():
                return denial
        for count in counts:
            count.add()
        return None


def accept_counted(connection: Connection, orders: Sequence[NewOrder]) -> list[Answer]:
    """`orders.ledger.statements.accept` of those that are not too many; the others are looked up, as they may be repetitions."""
    with connection.transaction():
        counted = Counted(connection, (order.account_id for order in orders))
        denials = [None if order.lookup_only else counted.add(order.account_id) for order in orders]
        asked = [
            order if denial is None else replace(order, lookup_only=True)
            for order, denial in zip(orders, denials, strict=True)
        ]
        wanted = [order for order in asked if order.keyed or not order.lookup_only]
        answers = iter(accept(connection, wanted))
        results: list[Answer] = []
        for order, denial in zip(asked, denials, strict=True):
            answer: Answer = next(answers) if order.keyed or not order.lookup_only else Unknown()
            results.append(denial if denial is not None and isinstance(answer, Unknown) else answer)
    return results
