"""What an engine's books say an account's trades have changed, by mint: to be held against events and wallets."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import tuple_row

import books
from books.statement import Books, Entry
from orders.mints import mint_of
from routing.mock.tokens import REGISTRY
from routing.values import precedence
from tests.onchain import OnChain, units

FILLS = (Path(books.__file__).parent / "sql" / "fills.sql").read_text() + " ORDER BY at, id"
RANKS = {token.mint: precedence(token) for token in REGISTRY.tokens}
ALL = dict.fromkeys(("mode", "venue", "token", "sold", "bought", "cursor", "at")) | {
    "since": datetime(1970, 1, 1, tzinfo=UTC),
    "until": datetime(9999, 1, 1, tzinfo=UTC),
    "newest": False,
}


def by_positions(connection: psycopg.Connection[Any]) -> dict[str, Decimal]:
    """Of all accounts together: what their positions hold, cost and have realised."""
    found: dict[str, Decimal] = defaultdict(Decimal)
    with connection.cursor(row_factory=tuple_row) as cursor:
        accounts = [row[0] for row in cursor.execute("SELECT id FROM accounts_account").fetchall()]
        for account in accounts:
            folded = Books(lambda mint: RANKS.get(mint, (1_000, mint)))
            for row in cursor.execute(FILLS, ALL | {"account": account}).fetchall():
                folded.take(Entry(row[2], mint_of(row[5]), mint_of(row[6]), row[7], row[8], ()))
            for (base, quote), position in folded.positions.items():
                found[base] += position.amount
                found[quote] += position.realised - position.cost
    return {mint: amount for mint, amount in found.items() if amount}


def by_events(
    orders: Mapping[str, Mapping[str, Any]], events: Mapping[str, Iterable[Mapping[str, Any]]]
) -> dict[str, Decimal]:
    """The same of the orders' events: what each that was confirmed says it took and brought."""
    found: dict[str, Decimal] = defaultdict(Decimal)
    for order_id, history in events.items():
        order = orders[order_id]
        for event in history:
            if event["status"] == "confirmed":
                found[mint_of(order["token_in"])] -= Decimal(event["data"].get("amountIn") or order["amount"])
                found[mint_of(order["token_out"])] += Decimal(event["data"]["amountOut"])
    return {mint: amount for mint, amount in found.items() if amount}


def by_answer(positions: Iterable[Mapping[str, Any]]) -> dict[str, Decimal]:
    """The same of what `GET /api/positions` says."""
    found: dict[str, Decimal] = defaultdict(Decimal)
    for each in positions:
        found[each["mint"]] += Decimal(each["amount"])
        found[each["quoteMint"]] += Decimal(each["realised"]) - Decimal(each["cost"])
    return {mint: amount for mint, amount in found.items() if amount}


def of_wallets(chain: OnChain, positions: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """Base units that `GET /api/positions` says wallets have gained, the fees of the chain included."""
    found: Counter[str] = Counter()
    for each in positions:
        moved = [(each["mint"], Decimal(each["amount"]))]
        moved.append((each["quoteMint"], Decimal(each["realised"]) - Decimal(each["cost"])))
        moved += [(fee["token"], -Decimal(fee["amount"])) for fee in each["fees"] if fee["kind"] != "venue"]
        for mint, amount in moved:
            token, change = units(chain, mint, amount)
            found[token] += change
    return found
