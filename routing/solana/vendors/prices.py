"""Prices of many tokens in one request: Jupiter's `GET /price/v3`, for pairs whose pools are not read here."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from routing.solana.recent import Recent
from routing.solana.vendors.api import Api, decoded
from routing.venue import VenueError

MAX_IDS = 50
MAX_AGE_S = 0.4
"""Pairs of one poll, and both directions, share what one request says."""
SENSIBLE = Decimal("1e-15"), Decimal("1e12")


class _Price(msgspec.Struct, rename="camel"):
    usd_price: Decimal
    liquidity: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Price:
    usd: Decimal
    liquidity: Decimal
    """In USD, of all the token's pools, both sides together; 0 where it is not told."""
    seen_at: datetime


class Unknown:
    """In the place of a price: it has to be asked for. (None is an answer.)"""


UNKNOWN = Unknown()


class PriceApi:
    """Asked with what the allowance leaves over: whoever executes goes first. One event loop at a time."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._kept = Recent[str, Price | None](10_000)
        self._wanted: dict[str, asyncio.Future[Price | None]] = {}
        self._asking: set[asyncio.Task[None]] = set()

    async def get(self, mints: Iterable[str]) -> dict[str, Price | None]:
        """By mint; None: nobody trades it. Raises `VenueError`, `VenueRateLimited` as `Api.ask`."""
        found, waited = dict[str, Price | None](), {}
        for mint in mints:
            price = self._kept.get(mint, UNKNOWN, max_age_s=MAX_AGE_S)
            if isinstance(price, Unknown):
                waited[mint] = self._want(mint)
            else:
                found[mint] = price
        if waited:
            # Not `gather`: whoever is cancelled must not cancel the answer of the others who wait for it.
            await asyncio.wait(waited.values())
            found |= {mint: answer.result() for mint, answer in waited.items()}
        return found

    def _want(self, mint: str) -> "asyncio.Future[Price | None]":
        loop = asyncio.get_running_loop()
        wanted = self._wanted.get(mint)
        if wanted is not None and wanted.get_loop() is loop:
            return wanted
        if not any(answer.get_loop() is loop for answer in self._wanted.values()):
            self._wanted.clear()
            loop.call_soon(self._ask_all, loop)
        made = self._wanted[mint] = loop.create_future()
        return made

    def _ask_all(self, loop: asyncio.AbstractEventLoop) -> None:
        wanted, self._wanted = self._wanted, {}
        mints = list(wanted)
        for start in range(0, len(mints), MAX_IDS):
            task = loop.create_task(self._ask({mint: wanted[mint] for mint in mints[start : start + MAX_IDS]}))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    async def _ask(self, wanted: "dict[str, asyncio.Future[Price | None]]") -> None:
        try:
            answer = await self._api.ask("/price/v3", query={"ids": ",".join(wanted)}, urgent=False)
            if answer.status != 200:
                raise VenueError("the prices are refused")
            said, at = decoded(answer.body, dict[str, _Price | None]), datetime.now(UTC)
            for mint, future in wanted.items():
                price = _sensible(said.get(mint), at)
                self._kept[mint] = price
                if not future.done():
                    future.set_result(price)
        except Exception as error:
            for future in wanted.values():
                if not future.done():
                    future.set_exception(error)
                    future.exception()  # Seen, should its asker be gone.


def _sensible(said: _Price | None, at: datetime) -> Price | None:
    if said is None or not said.usd_price.is_finite() or not SENSIBLE[0] < said.usd_price < SENSIBLE[1]:
        return None
    liquidity = said.liquidity
    known = liquidity is not None and liquidity.is_finite() and 0 <= liquidity < Decimal("1e15")
    return Price(said.usd_price, liquidity if known and liquidity is not None else Decimal(0), at)
