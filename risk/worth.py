"""What tokens are worth in the first quote token, for limits that count money: by the poller's prices."""

import logging
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from time import monotonic

import redis
from django.conf import settings

from routing.price_hashes import PairPrices
from routing.values import Token
from routing.world import price_store, tokens

log = logging.getLogger(__name__)

FRESH_FOR = timedelta(minutes=1)
"""An older price says nothing: what it would price is unpriced, and denied where money is limited."""
MEMO_S = 0.5


def quote_tokens() -> list[Token]:
    """Those of `QUOTE_TOKENS` that are known here; limits count in the first one."""
    known = tokens()
    return [token for name in settings.QUOTE_TOKENS if (token := known.resolve(name)) is not None]


def worths(quotes: Iterable[Token], markets: Mapping[str, PairPrices], now: datetime) -> dict[str, Decimal]:
    """Mint → what one of it is worth in the first quote token. `markets` by the names of pairs."""
    known = tokens()
    quotes = list(quotes)
    if not quotes:
        return {}
    fresh: dict[str, dict[str, Decimal]] = {}
    for name, market in markets.items():
        pair = known.pair_named(name)
        if pair is not None and market.best is not None and now - market.best.observed_at <= FRESH_FOR:
            fresh.setdefault(pair.token_out.mint, {})[pair.token_in.mint] = market.best.net_price
    found = {quotes[0].mint: Decimal(1)}
    for quote in quotes:  # The first one prices the others, and all of them price the rest.
        if (price := found.get(quote.mint)) is not None:
            for mint, in_quote in fresh.get(quote.mint, {}).items():
                found.setdefault(mint, in_quote * price)
    return found


class Valuation:
    """The worths of this process, at most `MEMO_S` old. For threads; nothing is read before somebody asks."""

    def __init__(self) -> None:
        self._read_at = float("-inf")
        self._worths: dict[str, Decimal] = {}

    def prices(self) -> dict[str, Decimal]:
        """Empty but for the quote token itself while Redis is away."""
        if monotonic() - self._read_at > MEMO_S:
            quotes = quote_tokens()
            try:
                markets = price_store().read(settings.POLL_PAIRS)
            except redis.RedisError as error:
                log.warning("orders cannot be valued: %s", error)
                markets = {}
            self._worths, self._read_at = worths(quotes, markets, datetime.now(UTC)), monotonic()
        return self._worths


valuation = Valuation()
"""Of this process."""
