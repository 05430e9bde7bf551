"""The one text form of decimals, moments and JSON that leaves the engine: over REST, WebSocket, Redis and in events."""

from datetime import datetime
from decimal import Decimal

import msgspec

encode = msgspec.json.Encoder(decimal_format="string", uuid_format="canonical").encode


def text(number: Decimal) -> str:
    """A decimal as clients see it: no exponent, no trailing zeros, at most 18 decimal places."""
    plain = f"{number:.18f}"
    return plain.rstrip("0").rstrip(".")


def timestamp(at: datetime) -> str:
    """RFC 3339 in UTC with microseconds and `Z`: one form everywhere, so that texts compare like moments."""
    return f"{at.isoformat(timespec='microseconds')[:26]}Z"
