"""What moves a local Solana: its controls beside the first node's RPC (docs/localnet.md)."""

import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from routing.controls import InvalidMove
from routing.http import NoAnswer, RpcError, post, rpc
from routing.tokens import Tokens
from routing.values import Pair, Token

ANSWER_S = 10.0
LAND_S = 15.0
BLOCKS = 2
"""After a move its swaps land in one block, and the next makes that one final."""
UNLISTED = "NEW"


class LocalnetControls:
    """See `ChainControls`. A move returns when its swaps have landed, so that the next price asked for is the moved one."""

    def __init__(self, rpc_url: str, tokens: Callable[[], Tokens]) -> None:
        self._rpc, self._tokens = rpc_url.rstrip("/"), tokens

    @property
    def unlisted(self) -> Token | None:
        return self._tokens().resolve(UNLISTED)

    def move(
        self,
        pair_name: str,
        *,
        price: Decimal | None = None,
        liquidity: Decimal | None = None,
        volume: Decimal | None = None,
        listed: bool | None = None,
        hold: bool | None = None,
        **health: str | None,
    ) -> None:
        """See `Controls`: prices and volume move by swaps that land; `volume` is traded once. No venue can be made ill here."""
        for name, condition in health.items():
            if condition is not None:
                raise InvalidMove(name, "a venue of the localnet is a program: use /api/localnet/fault")
        pair = self._pair(pair_name)
        pool = pair.pool
        wanted = {"liquidity": liquidity, "volume": volume, "price": price}
        for name, value in wanted.items():
            if value is not None and not (value.is_finite() and value > 0):
                raise InvalidMove(name, f"{name} must be above 0")
        if price is not None and pair != pool:
            wanted["price"] = 1 / price
        body = {name: f"{value:f}" for name, value in wanted.items() if value is not None}
        flags = {name: value for name, value in (("listed", listed), ("hold", hold)) if value is not None}
        self._act("market", self._mints(pool) | body | flags, field="pair")
        self._landed()

    def fault(self, fault: str, count: int, node: int | None = None) -> Mapping[str, Any]:
        """See `ChainControls`."""
        body = {"fault": fault, "count": count} | ({} if node is None else {"node": node})
        return self._act("fault", body, field="fault")

    def pool(self, pair_name: str, venue: str, price: Decimal) -> Mapping[str, Any]:
        """See `ChainControls`."""
        pair = self._pair(pair_name)
        if not (price.is_finite() and price > 0):
            raise InvalidMove("price", "price must be above 0")
        pool = pair.pool
        wanted = price if pair == pool else 1 / price
        made = self._act("pool", self._mints(pool) | {"venue": venue.upper(), "price": f"{wanted:f}"}, field="venue")
        self._landed()
        return made

    def lamports(self, owner: str) -> int:
        """See `ChainControls`."""
        try:
            return int(rpc(self._rpc, "getBalance", owner, timeout_s=ANSWER_S)["value"])
        except (NoAnswer, RpcError) as error:
            raise InvalidMove("owner", f"the localnet does not answer: {error}") from None

    def give(self, owner: str, token: str, amount: Decimal) -> None:
        """See `ChainControls`."""
        self._act("give", {"owner": owner, "token": token, "amount": f"{amount:f}"}, field="amount")

    def _pair(self, name: str) -> Pair:
        pair = self._tokens().pair_named(name)
        if pair is None:
            raise InvalidMove("pair", f"unknown pair {name}")
        return pair

    def _mints(self, pool: Pair) -> dict[str, Any]:
        return {"base": pool.token_in.mint, "quote": pool.token_out.mint}

    def _landed(self) -> None:
        """Until what was sent is final, or blocks have stopped."""
        until, height = time.monotonic() + LAND_S, self._act("state", {}, field="pair")["height"]
        while self._act("state", {}, field="pair")["height"] < height + BLOCKS and time.monotonic() < until:
            time.sleep(0.05)

    def _act(self, name: str, body: dict[str, Any], *, field: str) -> dict[str, Any]:
        try:
            status, answer = post(f"{self._rpc}/control/{name}", msgspec.json.encode(body), timeout_s=ANSWER_S)
            said: dict[str, Any] = msgspec.json.decode(answer, type=dict[str, Any])
        except (NoAnswer, msgspec.DecodeError) as error:
            raise InvalidMove(field, f"the localnet does not answer: {error}") from None
        if status != 200:
            raise InvalidMove(field, str(said.get("error", status)))
        return said
