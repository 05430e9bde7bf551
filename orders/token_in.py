"""A token as staff writes it, for the API."""

from typing import Annotated, Any

import msgspec

from orders.json_in import Reader
from routing.models import MAX_DECIMALS, MAX_NAME, MAX_SYMBOL
from routing.values import Program


class TokenIn(msgspec.Struct, forbid_unknown_fields=True, rename="camel", frozen=True):
    mint: Annotated[str, msgspec.Meta(min_length=32, max_length=44)]
    symbol: Annotated[str, msgspec.Meta(max_length=MAX_SYMBOL)] | msgspec.UnsetType = msgspec.UNSET
    name: Annotated[str, msgspec.Meta(max_length=MAX_NAME)] | msgspec.UnsetType = msgspec.UNSET
    verified: bool | msgspec.UnsetType = msgspec.UNSET
    logo: Annotated[str, msgspec.Meta(max_length=300)] | None | msgspec.UnsetType = msgspec.UNSET
    decimals: Annotated[int, msgspec.Meta(ge=0, le=MAX_DECIMALS)] | msgspec.UnsetType = msgspec.UNSET
    """On the mock only; elsewhere the mint account says it, and another number is refused."""
    program: Program | msgspec.UnsetType = msgspec.UNSET

    def said(self) -> dict[str, Any]:
        """What is given, apart from the mint."""
        values = {name: getattr(self, name) for name in self.__struct_fields__ if name != "mint"}
        return {name: value for name, value in values.items() if value is not msgspec.UNSET}


_reader = Reader(TokenIn)


def parse_token(body: bytes) -> TokenIn:
    """Raises `ApiError`: INVALID_JSON, VALIDATION_FAILED."""
    token: TokenIn = _reader.read(body)
    return token
