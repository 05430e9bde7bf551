"""What a web process is made of, in the order it starts and stops."""

import asyncio
import socket
from collections.abc import Sequence
from functools import partial
from typing import Any
from uuid import UUID

from accounts.auth import KeyRing
from accounts.limits import Limiter
from orders import commands, metrics
from orders.aftercommit import AfterCommit
from orders.commands import Commands
from orders.dispatch import Dispatcher
from orders.effects import of_accepted
from orders.http.intake import Intake
from orders.http.metrics import Metrics
from orders.http.sockets import Sockets
from orders.ledger.values import Accepted, NewOrder
from orders.ledger.writers import Acceptor
from orders.order_in import OrderIn
from orders.order_wallet import with_wallet
from orders.prices import Quotes
from orders.publisher import Publisher
from orders.risk import check_risk, counts_orders
from orders.streams.snapshots import Reader
from orders.streams.subscriptions import Subscriptions
from orders.telemetry import PoolWaits, share_metrics
from risk.rules import rules
from routing.world import close_world, price_feed, world
from runtime.process import ABOUT
from runtime.tuning import settle
from triggers.arming import Arming
from wallets.ring import WalletRing

COUNT_EVERY_S = 2.0
COUNTED = (metrics.GAPS_REPAIRED, metrics.EVENTS_DROPPED, metrics.DISPATCHES_LOST)


class Web:
    """Owns everything of a web process. Made at import; what needs the event loop or a connection is made by `start`."""

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
            counted=counts_orders,
        )
        self.intake = Intake(
            self._acceptor,
            keys,
            self._limiter,
            origins=frozenset(settings.CORS_ALLOWED_ORIGINS),
            max_body=settings.MAX_BODY_BYTES,
            timeout_s=settings.ACCEPT_TIMEOUT_S,
            screen=self._screen,
            risk=self._check_risk,
            wallet=None if settings.EXECUTION_MODE == "mock" else partial(with_wallet, WalletRing()),
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
        self.metrics = Metrics(settings)

    async def start(self) -> None:
        settle()
        rules.start()
        ABOUT["worker"] = f"web@{socket.gethostname()}"
        share_metrics(self._settings.METRICS_DIR, "web")
        self._counting = asyncio.create_task(self._count_for_ever())
        self._dispatcher = Dispatcher(
            rest_ms=self._settings.DISPATCH_REST_MS,
            window_ms=self._settings.DISPATCH_WINDOW_MS,
            max_batch=self._settings.MAX_DISPATCH_IDS,
            capacity=50_000,
        )
        self._publisher = Publisher(self._settings.REDIS_URL)
        self._arming = Arming(self._settings.REDIS_URL)
        self._after_commit = AfterCommit(self._publisher, self._arming, self._dispatch)
        self._commands = Commands(self._settings.DATABASE_URL, self._after_commit)
        commands.install(self._commands)
        self._hub = Subscriptions()
        self._reader = Reader()
        self._quotes = Quotes(world().router, price_feed())

    async def _count_for_ever(self) -> None:
        """Adds up, every two seconds, what hot paths count in plain attributes."""
        pools = PoolWaits()
        counted = [0, 0, 0]
        while True:
            metrics.SOCKETS.set(len(self.sockets.open))
            now = [self.sockets.repaired, self._publisher.dropped, self._dispatcher.lost]
            for counter, count, before in zip(COUNTED, now, counted, strict=True):
                counter.inc(count - before)
            counted = now
            pools.count()
            await asyncio.sleep(COUNT_EVERY_S)

    async def stop(self) -> None:
        self._counting.cancel()
        await self._acceptor.close()
        commands.uninstall()
        await asyncio.to_thread(self._commands.close)
        await asyncio.to_thread(self._dispatcher.close)
        await self._limiter.close()
        self._publisher.close()
        self._arming.close()
        await self._reader.close()
        await asyncio.to_thread(self.metrics.close)
        await close_world()
        rules.close()

    async def _screen(self, order: OrderIn, new: NewOrder) -> NewOrder:
        return await self._quotes.screen(order, new)

    async def _check_risk(self, new: NewOrder) -> None:
        await check_risk(new.account_id, new, self._quotes.market)

    def _accepted(self, orders: list[tuple[NewOrder, Accepted]]) -> None:
        """After the commit, in the writer's thread."""
        self._after_commit.carry_out([of_accepted(order, accepted) for order, accepted in orders])

    def _dispatch(self, order_ids: Sequence[UUID], delay_ms: int) -> None:
        """From any thread. A web process dispatches at once: only executors try again later."""
        self._dispatcher.dispatch(order_ids)
