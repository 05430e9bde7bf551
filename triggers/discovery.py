"""Finds the mints that launch snipers wait for and that nobody knew when they were named."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable

import psycopg
from django.db import Error as DatabaseError
from django.db import close_old_connections

from routing import listing
from routing.base58 import is_address
from routing.values import Mint
from routing.venue import VenueError
from routing.world import registry, tokens

log = logging.getLogger(__name__)

EVERY_S = 1.0
MOST = 20
"""Mints a round: whoever names thousands that will never exist does not use up the nodes' requests."""


class Discovery:
    """Asks the chain about unknown mints in turns, and adds those that have come to be, unverified whatever they are called."""

    def __init__(self, read_mint: Callable[[str], Awaitable[Mint | None]] | None) -> None:
        self._read_mint = read_mint
        self._looked_at = float("-inf")
        self._asked: dict[str, float] = {}
        """When each unknown mint was asked about last."""

    def due(self, pairs: Iterable[str]) -> list[str]:
        """The unknown mints among the names of these pairs that are to be asked about now; none in a world without a chain."""
        now = time.monotonic()
        if self._read_mint is None or now - self._looked_at < EVERY_S:
            return []
        self._looked_at = now
        known = tokens()
        names = {name for pair in pairs for name in pair.split("-")}
        unknown = {name for name in names if known.resolve(name) is None and is_address(name)}
        self._asked = {mint: self._asked.get(mint, 0.0) for mint in unknown}
        longest = sorted(unknown, key=lambda mint: (self._asked[mint], mint))[:MOST]
        self._asked |= dict.fromkeys(longest, now)
        return longest

    async def look(self, mints: list[str]) -> None:
        """Never raises: what could not be asked or written is asked again."""
        assert self._read_mint is not None
        found = await asyncio.gather(*map(self._read_mint, mints), return_exceptions=True)
        for mint, read in zip(mints, found, strict=True):
            if isinstance(read, Mint):
                await asyncio.to_thread(add, mint, read)
            elif isinstance(read, BaseException) and not isinstance(read, VenueError):
                log.error("a mint cannot be read", exc_info=read)


def add(mint: str, read: Mint) -> None:
    close_old_connections()
    try:
        listing.save(mint, {}, read, source="chain")
        registry.refresh()
        log.info("a token has come to be: %s", mint)
    except listing.InvalidToken as error:
        log.warning("%s is no token that can be traded here: %s %s", mint, error.field, error)
    except (DatabaseError, psycopg.Error) as error:
        log.warning("%s is not added yet: %s", mint, str(error).strip())
    finally:
        close_old_connections()
