"""What a Solana says of an engine's wallets, read over RPC as anybody may, held against the engine's ledger.

Nothing of the engine is imported: the chain is a witness of its own.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import httpx
import psycopg

from localnet.genesis import BY_MINT, TOKENS

MEMO = re.compile(r"\[\d+\] ([0-9a-f-]{36})/(\d+)")
TOKEN = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"
SOL = str(TOKENS["SOL"].mint)
PAGE = 1_000
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Landed:
    """A transaction in a block; `err`: it was reverted."""

    signature: str
    order_id: str
    attempt: int
    err: Any


class OnChain:
    def __init__(self, rpc_url: str) -> None:
        self._client = httpx.Client(base_url=rpc_url, timeout=60, trust_env=False)

    def call(self, method: str, *params: Any) -> Any:
        answer = self._client.post("/", json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).json()
        assert "error" not in answer, answer
        return answer["result"]

    def answers(self) -> bool:
        try:
            return bool(self.call("getHealth") == "ok")
        except httpx.TransportError:
            return False

    def close(self) -> None:
        self._client.close()

    def landed(self, wallet: str) -> list[Landed]:
        """The orders' transactions of a wallet: those whose memo names one."""
        found: list[Landed] = []
        before = None
        while page := self.call("getSignaturesForAddress", wallet, {"limit": PAGE, "before": before}):
            for each in page:
                if memo := MEMO.search(each["memo"] or ""):
                    found.append(Landed(each["signature"], memo[1], int(memo[2]), each["err"]))
            before = page[-1]["signature"]
        return found

    def transaction(self, signature: str) -> Any:
        return self.call("getTransaction", signature, {"encoding": "json", "maxSupportedTransactionVersion": 0})

    def decimals(self, mint: str) -> int:
        return int(self.call("getTokenSupply", mint)["value"]["decimals"])

    def balances(self, wallet: str) -> Counter[str]:
        """Base units by mint; lamports and wrapped SOL are one."""
        accounts = self.call("getTokenAccountsByOwner", wallet, {"programId": TOKEN}, {"encoding": "jsonParsed"})
        found: Counter[str] = Counter()
        for each in accounts["value"]:
            info = each["account"]["data"]["parsed"]["info"]
            found[info["mint"]] += int(info["tokenAmount"]["amount"])
        found[SOL] += self.call("getBalance", wallet)["value"]
        return found


@dataclass(frozen=True)
class Witness:
    """A chain, and what each wallet of an engine had before its first order."""

    chain: OnChain
    before: Mapping[str, Counter[str]]

    @classmethod
    def call(cls, rpc_url: str, database_url: str) -> "Witness":
        chain = OnChain(rpc_url)
        return cls(chain, balances(chain, database_url))

    def landed(self) -> list[Landed]:
        return [each for wallet in self.before for each in self.chain.landed(wallet)]

    def gained(self) -> Counter[str]:
        """Base units by mint that all wallets have gained since, but for what reverted transactions cost them."""
        found: Counter[str] = Counter()
        for wallet, had in self.before.items():
            found.update(self.chain.balances(wallet))
            found.subtract(had)
        for each in self.landed():
            if each.err is not None:
                found[SOL] += self.chain.transaction(each.signature)["meta"]["fee"]
        return found

    def report(self, order_id: str | None = None) -> dict[str, Any]:
        """In the shape of the mock's log: what landed, of one order or of all."""
        found = [each for each in self.landed() if order_id in (None, each.order_id)]
        landed = Counter(each.order_id for each in found if each.err is None)
        twice = sum(count > 1 for count in landed.values())
        submissions = [{"signature": each.signature, "orderId": each.order_id} for each in found]
        return {"landed": landed.total(), "ordersLandedTwice": twice, "submissions": submissions}

    def discrepancies(self, orders: Iterable[Row]) -> list[str]:
        """See `discrepancies`."""
        return list(discrepancies(self.chain, orders, self.before))


def balances(chain: OnChain, database_url: str) -> dict[str, Counter[str]]:
    """What every wallet of an engine has."""
    with psycopg.connect(database_url) as connection:
        return {row[0]: chain.balances(row[0]) for row in connection.execute("SELECT address FROM wallets_wallet")}


def discrepancies(chain: OnChain, orders: Iterable[Row], before: Mapping[str, Counter[str]]) -> Iterator[str]:
    """`orders`: rows of the ledger, none of them in work; `before`: each wallet's balances before the first of them.

    An order has at most one transaction that succeeded, which is the one it is confirmed by; and what a wallet has is what it
    had, and the orders' fills and fees, to the last base unit.
    """
    rows = {str(row["id"]): row for row in orders}
    succeeded: dict[str, list[str]] = defaultdict(list)
    for wallet, had in before.items():
        landed = chain.landed(wallet)
        for each in landed:
            if each.err is None:
                succeeded[each.order_id].append(each.signature)
        expected = Counter(had)
        for row in rows.values():
            if row["wallet"] == wallet and row["status"] == "confirmed":
                for mint, units in moved(chain, row):
                    expected[mint] += units
        for each in landed:
            if each.err is not None:
                expected[SOL] -= chain.transaction(each.signature)["meta"]["fee"]
        has = chain.balances(wallet)
        for mint in expected.keys() | has.keys():
            if expected[mint] != has[mint]:
                yield f"{wallet} has {has[mint]} of {mint}, by its orders {expected[mint]}"
    for order_id in succeeded.keys() | rows.keys():
        row, signatures = rows.get(order_id), succeeded[order_id]
        confirmed = [row["tx_hash"]] if row is not None and row["status"] == "confirmed" else []
        if signatures != confirmed:
            said = "is not in the ledger" if row is None else f"is {row['status']} by {confirmed}"
            yield f"{order_id}: {said}, on the chain succeeded {signatures}"


def moved(chain: OnChain, row: Row) -> Iterator[tuple[str, int]]:
    """Base units that a confirmed order has brought and taken, fees of the chain included."""
    amount_in = row["amount"] if row["amount_in"] is None else row["amount_in"]
    yield units(chain, row["token_in"], -Decimal(amount_in))
    yield units(chain, row["token_out"], Decimal(row["amount_out"]))
    for fee in row["fees"]:
        if fee["kind"] != "venue":  # The pool keeps its own out of what it pays.
            yield units(chain, fee["token"], -Decimal(fee["amount"]))


def units(chain: OnChain, token: str, amount: Decimal) -> tuple[str, int]:
    """`token`: a symbol that every localnet knows, or any mint."""
    known = next((each for each in BY_MINT.values() if token in (each.symbol, str(each.mint))), None)
    mint = str(known.mint) if known else token
    decimals = known.decimals if known else chain.decimals(mint)
    scaled = amount.scaleb(decimals)
    assert scaled == int(scaled), f"{amount} {token} is no whole number of base units"
    return mint, int(scaled)
