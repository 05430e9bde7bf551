"""The only code that changes which venues and pools a pair may use (`routing.permits`)."""

from decimal import Decimal

from django.conf import settings
from django.db import transaction

from routing.base58 import is_address
from routing.models import MAX_LIQUIDITY, PermitRow
from routing.values import Pair
from routing.venues import registered
from routing.world import tokens

MAX_PER_PAIR = 50
"""Pools of a pair that are read at each poll."""


class InvalidPermit(ValueError):
    """`field` names what is wrong."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def pair_of(name: str) -> Pair:
    """The pair in the direction that sells for the quote token. Raises `InvalidPermit`."""
    pair = tokens().pair_named(name.strip())
    if pair is None:
        raise InvalidPermit("pair", f"{name} is no pair of two known tokens")
    return pair.pool


def checked(pair: Pair, venue: str, pool: str, min_liquidity: Decimal) -> PermitRow:
    """The permit as it would be saved; one that is there already with another minimum. Raises `InvalidPermit`."""
    names = registered()
    venue = venue.strip().upper()
    if venue not in names:
        raise InvalidPermit("venue", f"is none of {', '.join(names)}")
    if pool and settings.EXECUTION_MODE == "mock":
        raise InvalidPermit("pool", "pools of the mock have no addresses")
    if pool and not is_address(pool):
        raise InvalidPermit("pool", "is not the address of a pool: 32 bytes in base58")
    if not (min_liquidity.is_finite() and 0 <= min_liquidity <= MAX_LIQUIDITY):
        raise InvalidPermit("min_liquidity", "is not an amount of the pair's quote token, from 0")
    of_pair = PermitRow.objects.filter(base=pair.token_in.mint, quote=pair.token_out.mint)
    row = of_pair.filter(venue=venue, pool=pool).first()
    if row is None and of_pair.count() >= MAX_PER_PAIR:
        raise InvalidPermit("pair", f"has {MAX_PER_PAIR} permits, which is the most")
    row = row or PermitRow(base=pair.token_in.mint, quote=pair.token_out.mint, venue=venue, pool=pool)
    row.min_liquidity = min_liquidity
    return row


def permit(pair: Pair, venue: str, pool: str = "", min_liquidity: Decimal = Decimal(0)) -> PermitRow:
    """From its first permit on a pair uses nothing else. Raises `InvalidPermit`."""
    with transaction.atomic():
        row = checked(pair, venue, pool, min_liquidity)
        row.save()
    return row


def forbid(pair: Pair, venue: str, pool: str = "") -> None:
    """Takes a permit back; after its last one the pair may use everything again. Raises `InvalidPermit`."""
    found = PermitRow.objects.filter(
        base=pair.token_in.mint, quote=pair.token_out.mint, venue=venue.strip().upper(), pool=pool
    )
    if not found.delete()[0]:
        raise InvalidPermit("venue", "has no such permit")
