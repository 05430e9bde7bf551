"""What a web process is made of, in the order it starts and stops."""

from typing import Any

from accounts.auth import KeyRing
from orders.commit import Acceptor
from orders.doorbell import Doorbell
from orders.hub import Hub
from orders.intake import Intake
from orders.ledger import Accepted, NewOrder
from orders.lifecycle import Status
from orders.reading import Reader
from orders.sockets import Sockets
from orders.stream import News, Publisher


class Web:
    """Made at import; what needs the event loop or a connection is made by `start`."""

    def __init__(self, settings: Any, keys: KeyRing) -> None:
        self._settings = settings
        self._acceptor = Acceptor(
            settings.DATABASE_URL,
            window_ms=settings.ACCEPT_WINDOW_MS,
            most=settings.ACCEPT_MOST,
            capacity=settings.ACCEPT_WAITING_MOST,
            timeout_ms=int(settings.ACCEPT_TIMEOUT_S * 1000),
        )
        self._doorbell = Doorbell(
            window_ms=settings.DOORBELL_WINDOW_MS, most=settings.DOORBELL_IDS_MOST, capacity=50_000
        )
        self.intake = Intake(
            self._acceptor,
            keys,
            body_most=settings.BODY_BYTES_MOST,
            timeout_s=settings.ACCEPT_TIMEOUT_S,
            accepted=self._accepted,
        )
        self.sockets = Sockets(lambda: self._hub, lambda: self._reader, keys)

    async def start(self) -> None:
        self._publisher = Publisher(self._settings.REDIS_URL)
        self._hub = Hub()
        self._reader = Reader()

    async def stop(self) -> None:
        await self._acceptor.close()
        await self._doorbell.close()
        self._publisher.close()

    def _accepted(self, order: NewOrder, accepted: Accepted) -> None:
        data = {"resting": True} if order.resting else {}
        news = News(order.id, order.account_id, 1, Status.PENDING, accepted.created_at, data)
        self._publisher.publish([news])
        if not order.resting:
            self._doorbell.ring(order.id)
