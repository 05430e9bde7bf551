"""What a web process is made of, in the order it starts and stops."""

import asyncio
import socket
from collections import Counter
from typing import Any

from accounts.auth import KeyRing
from accounts.limits import Limiter
from orders.dispatch import Dispatcher
from orders.events import CommittedEvent, Publisher
from orders.http.intake import Intake
from orders.ledger.statements import Accepted, NewOrder, first_data
from orders.ledger.writers import Acceptor
from orders.lifecycle import Status
from orders.models import OrderType
from orders.order_in import OrderIn
from orders.prices import Quotes
from orders.resting.placement import arming, rest_of
from orders.streams.snapshots import Reader
from orders.streams.sockets import Sockets
from orders.streams.subscriptions import Subscriptions
from orders.telemetry import PoolWaits, share_metrics
from routing.world import price_feed, world
from runtime import metrics
from runtime.process import ABOUT
from runtime.tuning import settle
from triggers.book import Arm

COUNT_EVERY_S = 2.0
ACCEPTED = {kind: metrics.ACCEPTED.labels(kind) for kind in OrderType.values}
COUNTED = (metrics.GAPS_REPAIRED, metrics.EVENTS_DROPPED, metrics.DISPATCHES_LOST)


class Web:
    """Made at import; what needs the event loop or a connection is made by `start`."""

    def __init__(self, settings: Any, keys: KeyRing, limiter: Limiter) -> None:
        self._settings = settings
        self._limiter = limiter
        self._acceptor = Acceptor(
            settings.DATABASE_URL,
            window_ms=settings.ACCEPT_WINDOW_MS,
            max_batch=settings.MAX_ACCEPT_BATCH,
            capacity=settings.MAX_ACCEPT_WAITING,
            timeout_ms=int(settings.ACCEPT_TIMEOUT_S * 1000),
            written=self._accepted,
        )
        self._dispatcher = Dispatcher(
            window_ms=settings.DISPATCH_WINDOW_MS, max_batch=settings.MAX_DISPATCH_IDS, capacity=50_000
        )
        self.intake = Intake(
            self._acceptor,
            keys,
            self._limiter,
            origins=frozenset(settings.CORS_ALLOWED_ORIGINS),
            max_body=settings.MAX_BODY_BYTES,
            timeout_s=settings.ACCEPT_TIMEOUT_S,
            screen=self._screen,
        )
        self.sockets = Sockets(
            lambda: self._hub,
            lambda: self._reader,
            keys,
            max_open=settings.MAX_SOCKETS,
            max_account=settings.MAX_SOCKETS_PER_ACCOUNT,
            prices=lambda: self._quotes,
            limiter=limiter,
        )

    async def start(self) -> None:
        settle()
        ABOUT["worker"] = f"web@{socket.gethostname()}"
        share_metrics(self._settings.METRICS_DIR, "web")
        self._counting = asyncio.create_task(self._count_for_ever())
        self._loop = asyncio.get_running_loop()
        self._publisher = Publisher(self._settings.REDIS_URL)
        self._hub = Subscriptions()
        self._reader = Reader()
        self._quotes = Quotes(world().router, price_feed())

    async def _count_for_ever(self) -> None:
        """What costs nothing on the way is added up here: every two seconds."""
        pools = PoolWaits()
        told = [0, 0, 0]
        while True:
            metrics.SOCKETS.set(len(self.sockets.open))
            now = [self.sockets.repaired, self._publisher.dropped, self._dispatcher.lost]
            for counter, count, before in zip(COUNTED, now, told, strict=True):
                counter.inc(count - before)
            told = now
            pools.count()
            await asyncio.sleep(COUNT_EVERY_S)

    async def stop(self) -> None:
        self._counting.cancel()
        await self._acceptor.close()
        await self._dispatcher.close()
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
                CommittedEvent(
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
        self._loop.call_soon_threadsafe(self._dispatcher.dispatch, due)
        if resting := [Arm(rest_of(order, 1)) for order, _ in orders if order.resting]:
            arming().tell(*resting)
