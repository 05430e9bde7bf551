"""What a web process is made of, in the order it starts and stops."""

import asyncio
import socket
from collections import Counter
from typing import Any

from accounts.auth import KeyRing
from accounts.limits import Limiter
from orders.commit import Acceptor
from orders.doorbell import Doorbell
from orders.hub import Hub
from orders.intake import Intake
from orders.ledger import Accepted, NewOrder, first_data
from orders.lifecycle import Status
from orders.models import OrderType
from orders.quotes import Quotes
from orders.reading import Reader
from orders.requests import OrderIn
from orders.resting import arming, rest_of
from orders.sockets import Sockets
from orders.stream import News, Publisher
from orders.telemetry import PoolWaits, share_metrics
from routing.world import price_feed, world
from runtime import metrics
from runtime.process import ABOUT
from runtime.tuning import settle
from triggers.book import Arm

COUNT_EVERY_S = 2.0
ACCEPTED = {kind: metrics.ACCEPTED.labels(kind) for kind in OrderType.values}
COUNTED = (metrics.GAPS_REPAIRED, metrics.NEWS_DROPPED, metrics.DOORBELLS_LOST)


class Web:
    """Made at import; what needs the event loop or a connection is made by `start`."""

    def __init__(self, settings: Any, keys: KeyRing, limiter: Limiter) -> None:
        self._settings = settings
        self._limiter = limiter
        self._acceptor = Acceptor(
            settings.DATABASE_URL,
            window_ms=settings.ACCEPT_WINDOW_MS,
            most=settings.ACCEPT_MOST,
            capacity=settings.ACCEPT_WAITING_MOST,
            timeout_ms=int(settings.ACCEPT_TIMEOUT_S * 1000),
            written=self._accepted,
        )
        self._doorbell = Doorbell(
            window_ms=settings.DOORBELL_WINDOW_MS, most=settings.DOORBELL_IDS_MOST, capacity=50_000
        )
        self.intake = Intake(
            self._acceptor,
            keys,
            self._limiter,
            origins=frozenset(settings.CORS_ALLOWED_ORIGINS),
            body_most=settings.BODY_BYTES_MOST,
            timeout_s=settings.ACCEPT_TIMEOUT_S,
            screen=self._screen,
        )
        self.sockets = Sockets(
            lambda: self._hub,
            lambda: self._reader,
            keys,
            most=settings.SOCKETS_MOST,
            account_most=settings.SOCKETS_PER_ACCOUNT_MOST,
            prices=lambda: self._quotes,
        )

    async def start(self) -> None:
        settle()
        ABOUT["worker"] = f"web@{socket.gethostname()}"
        share_metrics(self._settings.METRICS_DIR, "web")
        self._counting = asyncio.create_task(self._count_for_ever())
        self._loop = asyncio.get_running_loop()
        self._publisher = Publisher(self._settings.REDIS_URL)
        self._hub = Hub()
        self._reader = Reader()
        self._quotes = Quotes(world().router, price_feed())

    async def _count_for_ever(self) -> None:
        """What costs nothing on the way is added up here: every two seconds."""
        pools = PoolWaits()
        told = [0, 0, 0]
        while True:
            metrics.SOCKETS.set(len(self.sockets.open))
            now = [self.sockets.repaired, self._publisher.dropped, self._doorbell.lost]
            for counter, count, before in zip(COUNTED, now, told, strict=True):
                counter.inc(count - before)
            told = now
            pools.count()
            await asyncio.sleep(COUNT_EVERY_S)

    async def stop(self) -> None:
        self._counting.cancel()
        await self._acceptor.close()
        await self._doorbell.close()
        await self._limiter.close()
        self._publisher.close()
        arming().close()
        await self._reader.close()

    async def _screen(self, order: OrderIn, new: NewOrder) -> NewOrder:
        return await self._quotes.screen(order, new)

    def _accepted(self, orders: list[tuple[NewOrder, Accepted]]) -> None:
        """After the commit, in the writer's thread: tell whoever watches the account, and ring for what is due."""
        for kind, many in Counter(order.type for order, _ in orders).items():
            ACCEPTED[kind].inc(many)
        self._publisher.publish(
            [
                News(
                    order.id,
                    order.account_id,
                    1,
                    Status.PENDING,
                    accepted.created_at,
                    first_data(order),
                )
                for order, accepted in orders
            ]
        )
        due = [order.id for order, _ in orders if not order.resting]
        self._loop.call_soon_threadsafe(self._doorbell.ring, due)
        if resting := [Arm(rest_of(order, 1)) for order, _ in orders if order.resting]:
            arming().tell(*resting)
