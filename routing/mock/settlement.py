"""What a mock transaction says, and what becomes of it when it lands."""

import secrets
from datetime import datetime
from decimal import Decimal
from hashlib import blake2b
from zlib import crc32

import msgspec

from routing import base58
from routing.mock.market import Market
from routing.mock.pool import quote_for_output, quote_from_tick
from routing.selection import BPS, round_down, round_up
from routing.values import VenueName
from routing.venue import NoRoute, VenueError

MAX_SETTLE_SLIP_BPS = 10
"""What others trade between the quote and the landing, always against the trader."""


class Terms(msgspec.Struct, frozen=True, array_like=True):
    """The transaction's content: all that settling needs, so that the chain asks nobody."""

    reference: str
    attempt: int
    venue: VenueName
    pair: str
    """See `routing.mock.tokens.market_name`."""
    amount_in: Decimal
    """Of exact out the most that it takes."""
    quoted_price: Decimal
    min_out: Decimal
    valid_until: datetime
    nonce: bytes
    exact_out: bool = False
    """It takes what `min_out` costs and pays just that. A process that does not know this one sells all of `amount_in` for
    `min_out` or more."""


class Settlement(msgspec.Struct, frozen=True):
    """A trade, or the error with which the transaction landed; amounts in tokenOut but for `amount_in`."""

    amount_in: Decimal | None = None
    """None: all of the terms'."""
    amount_out: Decimal = Decimal(0)
    executed_price: Decimal = Decimal(0)
    fee: Decimal = Decimal(0)
    error: str | None = None


_encoder = msgspec.msgpack.Encoder(decimal_format="string")
_decoder = msgspec.msgpack.Decoder(Terms)


def nonce() -> bytes:
    """Makes two transactions of one order differ, across processes too: never from a seeded generator."""
    return secrets.token_bytes(16)


def encode(terms: Terms) -> bytes:
    return _encoder.encode(terms)


def decode(payload: bytes) -> Terms:
    """Raises `msgspec.DecodeError` for bytes that are no transaction."""
    return _decoder.decode(payload)


def sign(payload: bytes) -> str:
    """64 bytes in base58, known before anything is sent and the same for the same bytes."""
    return base58.encode(blake2b(payload).digest())


def settle(terms: Terms, market: Market, *, signature: str, landed_at: datetime) -> Settlement:
    """Trades at the venue's market of `landed_at`, less a slip drawn from the signature.

    Never below min_out, and of exact out never for more than amount_in: it reverts then.
    """
    pair = market.pair(terms.pair)
    if pair is None:
        return Settlement(error=NoRoute.code)
    slip_bps = 0 if market.is_held(pair) else crc32(signature.encode()) % (MAX_SETTLE_SLIP_BPS + 1)
    decimals = pair.token_out.decimals
    try:
        tick = market.tick(pair, terms.venue, landed_at)
        if terms.exact_out:
            gross = round_up(terms.min_out * BPS / (BPS - slip_bps), decimals)
            amount_in = quote_for_output(pair, tick, gross, cached=False).amount_in
            amount_out = terms.min_out
        else:
            amount_in = terms.amount_in
            quote = quote_from_tick(pair, tick, amount_in, cached=False)
            amount_out = round_down(quote.amount_out * (BPS - slip_bps) / BPS, decimals)
    except VenueError as error:
        return Settlement(error=error.code)
    if amount_out < terms.min_out or amount_in > terms.amount_in:
        return Settlement(error="SLIPPAGE_EXCEEDED")
    fee = amount_in * tick.price * tick.fee_bps / BPS
    return Settlement(
        amount_in=amount_in if terms.exact_out else None,
        amount_out=amount_out,
        executed_price=amount_out / amount_in,
        fee=round_up(fee, decimals),
    )
