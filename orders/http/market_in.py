"""Commands to the mock market and to the localnet as staff write them."""

from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec

from orders.json_in import Reader


class MarketIn(msgspec.Struct, forbid_unknown_fields=True, rename="camel", frozen=True):
    """A move of the market; what is absent stays as it is."""

    pair: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    price: Decimal | None = None
    liquidity: Decimal | None = None
    volume: Decimal | None = None
    listed: bool | None = None
    raydium: Literal["ok", "error", "slow"] | None = None
    meteora: Literal["ok", "error", "slow"] | None = None
    hold: bool | None = None

    def changes(self) -> dict[str, Any]:
        named = {name: getattr(self, name) for name in self.__struct_fields__ if name != "pair"}
        return {name: value for name, value in named.items() if value is not None}


market_reader = Reader(MarketIn)


def parse_market(body: bytes) -> MarketIn:
    wanted: MarketIn = market_reader.read(body)
    return wanted


class FaultIn(msgspec.Struct, forbid_unknown_fields=True, rename="camel", frozen=True):
    """What the localnet shall do wrong; `docs/localnet.md` says what each fault is."""

    fault: Literal["drop", "delay", "land_then_timeout", "refuse", "lag", "null_history", "fork"]
    count: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 1
    node: Annotated[int, msgspec.Meta(ge=1, le=16)] | None = None


class PoolIn(msgspec.Struct, forbid_unknown_fields=True, rename="camel", frozen=True):
    """A pool of the localnet, and the price of the pair that it shall have."""

    pair: Annotated[str, msgspec.Meta(min_length=1, max_length=96)]
    venue: Literal["raydium", "meteora", "RAYDIUM", "METEORA"]
    price: Decimal


fault_reader = Reader(FaultIn)
pool_reader = Reader(PoolIn)


def parse_fault(body: bytes) -> FaultIn:
    wanted: FaultIn = fault_reader.read(body)
    return wanted


def parse_pool(body: bytes) -> PoolIn:
    wanted: PoolIn = pool_reader.read(body)
    return wanted
