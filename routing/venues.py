"""The names of venues: open, because every world brings venues of its own.

A name is what stands in Redis keys (`quotes:{pair}:{NAME}`), in the database and in answers (in lower case).
"""

import re

from routing.values import VenueName

NAME = re.compile(r"[A-Z][A-Z0-9_]{0,15}")
SPLIT = VenueName("SPLIT")
"""In the place of a venue's name: one transaction that swaps in pools of several venues. It has no prices of its own."""
RESERVED = frozenset({"BEST", "PAIR", "AT", "TYPE", "SLOW", SPLIT})
"""Keys and fields that stand beside the venues' names."""
_names: dict[str, VenueName] = {}


def register(name: str) -> VenueName:
    """Makes the name known to all who list venues; a second time changes nothing.

    Raises `ValueError` for what is not 1 to 16 of `A-Z`, `0-9`, `_` with a letter first, and for a reserved name.
    """
    if not NAME.fullmatch(name) or name in RESERVED:
        raise ValueError(f"{name!r} cannot be a venue's name")
    return _names.setdefault(name, VenueName(name))


def registered() -> tuple[VenueName, ...]:
    """Every known venue, in the order of registration."""
    return tuple(_names.values())


def named_in_fills() -> tuple[VenueName, ...]:
    """What orders and fills may name as their venue."""
    return (*registered(), SPLIT)


RAYDIUM = register("RAYDIUM")
METEORA = register("METEORA")
