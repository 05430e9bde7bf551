"""Parameters of a query: known names, each once, none of them empty.

An empty one is most often a variable that a script did not set, and a list that ignores it answers with other orders than
those that were meant.
"""

from collections.abc import Collection
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from django.http import QueryDict

from orders.errors import ApiError, invalid
from orders.json_in import NUMBER
from routing.values import Pair, Token
from routing.world import tokens

PAGE, MAX_PAGE = 50, 200
MAX_SEQ = 2**31 - 1
MAX_NUMBER = 80
"""Characters."""
MAX_SHOWN = 100
EPOCH_YEAR = 1970
"""Ids count time from then."""


class Parameters:
    """Raises `ApiError` VALIDATION_FAILED, which names the parameter, when made and when asked."""

    def __init__(self, query: QueryDict, known: Collection[str]) -> None:
        self._values: dict[str, str] = {}
        for name, values in query.lists():
            shown = name[:MAX_SHOWN] or "query"
            if name not in known:
                raise invalid(shown, f"is no parameter here; {', '.join(sorted(known)) or 'none'} is known")
            if len(values) > 1:
                raise invalid(shown, "stands twice")
            if not values[0]:
                raise invalid(shown, "is empty; leave it out if it is not meant")
            if "\0" in values[0]:
                raise invalid(shown, "must not contain NUL")
            self._values[name] = values[0]

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def text(self, name: str) -> str | None:
        return self._values.get(name)

    def whole(self, name: str, default: int, *, least: int, most: int) -> int:
        text = self._values.get(name, str(default))
        if not (text.isascii() and text.isdigit() and len(text) <= 10) or not least <= int(text) <= most:
            raise invalid(name, f"must be a whole number from {least} to {most}")
        return int(text)

    def limit(self) -> int:
        return self.whole("limit", PAGE, least=1, most=MAX_PAGE)

    def one_of(self, name: str, allowed: list[str]) -> str | None:
        value = self._values.get(name)
        if value is not None and value not in allowed:
            raise invalid(name, f"must be one of {', '.join(allowed)}")
        return value

    def some_of(self, name: str, allowed: list[str]) -> list[str]:
        """Several, separated by commas; none where the parameter is absent."""
        values = self._values[name].split(",") if name in self._values else []
        if not set(values) <= set(allowed):
            raise invalid(name, f"must be one or several, separated by commas, of {', '.join(allowed)}")
        return list(dict.fromkeys(values))

    def moment(self, name: str) -> datetime | None:
        """RFC 3339, in UTC. The `+` of an offset is a space where a client did not escape it."""
        if name not in self._values:
            return None
        try:
            found = datetime.fromisoformat(self._values[name].replace(" ", "+"))
            if found.tzinfo is None or found.year < EPOCH_YEAR:
                raise ValueError
            return found.astimezone(UTC)
        except (ValueError, OverflowError):
            raise invalid(name, "must be a time with its zone, such as 2030-01-31T12:00:00Z") from None

    def uuid(self, name: str) -> UUID | None:
        try:
            return UUID(self._values[name]) if name in self._values else None
        except ValueError:
            raise invalid(name, "is not valid") from None

    def decimal(self, name: str) -> Decimal:
        text = self._values.get(name, "")
        if len(text) > MAX_NUMBER or not NUMBER.fullmatch(text):
            raise invalid(name, "must be a number")
        return Decimal(text)

    def pair(self, name: str) -> Pair | None:
        """By symbols in any case or mints, as in a path."""
        text = self._values.get(name)
        found = tokens().pair_named(text) if text else None
        if text and found is None:
            raise invalid(name, "is no pair")
        return found

    def token(self, name: str) -> Token | None:
        """By symbol in any case or mint."""
        text = self._values.get(name)
        found = tokens().resolve(text) if text else None
        if text and found is None:
            raise invalid(name, "is no token")
        return found


def pair_of_path(name: str) -> Pair:
    """Raises `ApiError`: UNKNOWN_PAIR."""
    found = tokens().pair_named(name)
    if found is None:
        raise ApiError("UNKNOWN_PAIR", f"{name[:MAX_SHOWN]!r} is no pair.")
    return found
