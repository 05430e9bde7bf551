"""The world of this process: what trades, where, and on which chain; opened at first use.

`EXECUTION_MODE` names it. Nothing but the factories here imports an implementation, so that a world can be added without a
change elsewhere.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Protocol

from django.conf import settings

from routing.chain import Chain
from routing.controls import Controls
from routing.prices import PriceFeed
from routing.router import Router
from routing.tokens import Tokens
from routing.values import Pair


class World(Protocol):
    @property
    def router(self) -> Router: ...

    @property
    def chain(self) -> Chain: ...

    @property
    def tokens(self) -> Tokens: ...

    @property
    def controls(self) -> Controls | None:
        """What moves a pretended world; None in one that cannot be moved."""
        ...

    def listed_pairs(self) -> list[Pair]:
        """Every pair that trades now, both ways. Blocks; for any thread."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Factory:
    """How a world is made; its tokens are known without opening it, because reading an order needs nothing else."""

    tokens: Callable[[], Tokens]
    world: Callable[[], World]


def _mock_tokens() -> Tokens:
    from routing.mock.tokens import REGISTRY

    return REGISTRY


def _mock_world() -> World:
    from routing.mock.world import mock_world

    return mock_world(
        settings.DATA_DIR,
        seed=settings.MOCK_SEED,
        latency=settings.MOCK_LATENCY,
        failure_rate=settings.MOCK_FAILURE_RATE,
        deadline_ms=settings.QUOTE_DEADLINE_MS,
        max_age_ms=settings.QUOTE_MAX_AGE_MS,
        valid_s=settings.MOCK_VALID_S,
        cached=price_feed().market,
    )


FACTORIES = {"mock": Factory(_mock_tokens, _mock_world)}
"""By `EXECUTION_MODE`."""


@cache
def price_feed() -> PriceFeed:
    """For the process' main event loop."""
    return PriceFeed(settings.REDIS_URL)


@cache
def tokens() -> Tokens:
    """The tokens of this process' world; does not open it."""
    return FACTORIES[settings.EXECUTION_MODE].tokens()


@cache
def world() -> World:
    return FACTORIES[settings.EXECUTION_MODE].world()
