"""A command to the mock market as staff write it."""

from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec

from orders.json_in import Reader


class MarketIn(msgspec.Struct, forbid_unknown_fields=True, rename="camel", frozen=True):
    """A move of the mock market; what is absent stays as it is."""

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
