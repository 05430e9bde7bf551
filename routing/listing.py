"""Adds tokens to the table and changes what is said of them. What a mint account says is never changed."""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import URLValidator
from django.db import IntegrityError, transaction

from routing.base58 import is_address
from routing.models import MAX_DECIMALS, MAX_NAME, MAX_SYMBOL, TokenRow
from routing.values import Mint, Program
from routing.world import tokens, world

VERIFIED_SYMBOL = re.compile(r"[A-Za-z0-9._]{1,16}", re.ASCII)
"""It stands in names of pairs, in URLs, keys and groups, and is shorter than any mint."""
SAID = ("symbol", "name", "verified", "logo")
"""What people say of a token; the mint account says the rest."""
UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Categories of characters that show nothing, or change the direction of what stands around them."""


class InvalidToken(ValueError):
    """`field` names what is wrong."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def clean(text: str, most: int) -> str:
    """What a maker of tokens wrote on the chain, without what cannot be seen, and not longer than `most`."""
    seen = "".join(character for character in text if unicodedata.category(character) not in UNSEEN)
    return " ".join(seen.split())[:most].strip()


def save(mint: str, said: Mapping[str, Any], read: Mint | None, *, source: str) -> TokenRow:
    """The token of `mint`, added or changed; see `checked`."""
    row = checked(mint, said, read, source=source)
    known = None if row._state.adding else [name for name in SAID if name in said]
    try:
        with transaction.atomic():
            row.save(update_fields=known, force_insert=known is None)
    except IntegrityError as error:
        if "token_verified_symbol" in str(error):
            raise InvalidToken("symbol", "is verified for another mint") from None
        raise InvalidToken("mint", "was added by somebody else just now") from None
    return row


def checked(mint: str, said: Mapping[str, Any], read: Mint | None, *, source: str) -> TokenRow:
    """The token of `mint` as it would be saved.

    `said`: some of symbol, name, verified, logo, decimals, program. `read`: what its mint account says, which nobody can
    gainsay; None where there is no chain to read it from, and then `said` must give a new token's decimals.
    Raises `InvalidToken`.
    """
    if not is_address(mint):
        raise InvalidToken("mint", "is not the address of a mint: 32 bytes in base58")
    row = TokenRow.objects.filter(mint=mint).first() or new(mint, said, read, source)
    check_fixed(row, said)
    for name in SAID:
        if name in said:
            setattr(row, name, said[name])
    check(row)
    return row


async def read_mint(mint: str) -> Mint | None:
    """The mint account; None in a world without a chain, and of a token that is known: what its account says does not change.

    Raises `InvalidToken` where the chain has no such mint, `VenueError` while it does not answer.
    """
    reader = world().read_mint
    if reader is None or not is_address(mint) or tokens().resolve(mint) is not None:
        return None
    found = await reader(mint)
    if found is None:
        raise InvalidToken("mint", "is no mint on this chain")
    return found


def new(mint: str, said: Mapping[str, Any], read: Mint | None, source: str) -> TokenRow:
    if read is None:
        if said.get("decimals") is None:
            raise InvalidToken("decimals", "is required: there is no chain to read it from")
        read = Mint(said["decimals"], Program(said.get("program") or Program.TOKEN))
    if not 0 <= read.decimals <= MAX_DECIMALS:
        raise InvalidToken("decimals", f"must be from 0 to {MAX_DECIMALS}")
    return TokenRow(
        mint=mint,
        symbol=clean(read.symbol, MAX_SYMBOL),
        name=clean(read.name, MAX_NAME),
        decimals=read.decimals,
        program=read.program.value,
        extensions=list(read.extensions),
        source=source,
    )


def check_fixed(row: TokenRow, said: Mapping[str, Any]) -> None:
    for name in ("decimals", "program"):
        if said.get(name) not in (None, getattr(row, name)):
            raise InvalidToken(name, f"is {getattr(row, name)} and cannot be changed")


def check(row: TokenRow) -> None:
    """Raises `InvalidToken`."""
    for field, text, most in (("symbol", row.symbol, MAX_SYMBOL), ("name", row.name, MAX_NAME)):
        if len(text) > most:
            raise InvalidToken(field, f"is longer than {most} characters")
        if any(unicodedata.category(character) in UNSEEN for character in text):
            raise InvalidToken(field, "holds characters that cannot be seen")
    taken = TokenRow.objects.filter(verified=True, symbol__iexact=row.symbol).exclude(mint=row.mint)
    if row.verified and taken.exists():
        raise InvalidToken("symbol", "is verified for another mint")
    if row.verified and not VERIFIED_SYMBOL.fullmatch(row.symbol):
        raise InvalidToken("symbol", "must be 1 to 16 letters, digits, dots and underscores where it is verified")
    if row.logo:
        try:
            URLValidator(schemes=["https"])(row.logo)
        except ValidationError:
            raise InvalidToken("logo", "must be an https address") from None
        if len(row.logo) > 300:
            raise InvalidToken("logo", "is longer than 300 characters")
