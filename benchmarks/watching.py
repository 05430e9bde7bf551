"""A client that watches one order and judges what it receives."""

import asyncio
from datetime import datetime
from typing import Any

import msgspec

from benchmarks.connections import WebSocket, upgrade

FINAL = frozenset({"confirmed", "failed", "cancelled", "expired"})


class Step(msgspec.Struct):
    seq: int


class Message(msgspec.Struct):
    type: str
    seq: int
    status: str
    at: str = ""
    events: list[Step] = []


decode = msgspec.json.Decoder(Message).decode


class Watches:
    """All watched orders of a run: lags and arrivals of live events, and whether each stream was complete."""

    def __init__(self, host: str, port: int, key: str | None) -> None:
        self._address = (host, port)
        self._key = key
        self.lags_ms: dict[str, list[float]] = {}
        """By status, from the event's `at`."""
        self.arrivals: list[tuple[str, int, float]] = []
        """(order id, seq, time of day)."""
        self.started = self.complete = self.broken = self.ended = 0
        self.most_open = 0
        self.reasons: dict[str, int] = {}
        self.all_ended = asyncio.Event()

    def start(self, order_id: str) -> None:
        self.started += 1
        self.most_open = max(self.most_open, self.started - self.ended)
        self.all_ended.clear()
        asyncio.ensure_future(self._open(order_id))

    async def _open(self, order_id: str) -> None:
        host, port = self._address
        watch = Watch(self, order_id)
        request = upgrade(f"/ws/{order_id}", f"{host}:{port}", self._key)
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: WebSocket(request, watch.said, watch.ended), host, port)
        except OSError as error:
            self.end(str(error))

    def end(self, reason: str | None) -> None:
        """One stream is over; a reason says what was wrong with it."""
        self.ended += 1
        if reason is None:
            self.complete += 1
        else:
            self.broken += 1
            self.reasons[reason] = self.reasons.get(reason, 0) + 1
        if self.ended == self.started:
            self.all_ended.set()

    async def wait(self, seconds: float) -> None:
        if self.ended < self.started:
            await asyncio.wait([asyncio.ensure_future(self.all_ended.wait())], timeout=seconds)

    def report(self) -> dict[str, Any]:
        return {
            "started": self.started,
            "complete": self.complete,
            "broken": self.broken,
            "unended": self.started - self.ended,
            "most_open": self.most_open,
            "reasons": self.reasons,
            "lags_ms": self.lags_ms,
            "arrivals": self.arrivals,
        }


class Watch:
    """One order's stream."""

    def __init__(self, watches: Watches, order_id: str) -> None:
        self._watches = watches
        self._order_id = order_id
        self._seq = 0
        self._status = ""
        self._wrong: str | None = None

    def said(self, text: bytes, arrived_at: float) -> None:
        message = decode(text)
        if message.type == "snapshot":
            if [step.seq for step in message.events] != list(range(1, message.seq + 1)):
                self._wrong = "snapshot with a gap"
        else:
            if message.seq != self._seq + 1:
                self._wrong = f"event {message.seq} after {self._seq}"
            lag_ms = (arrived_at - datetime.fromisoformat(message.at).timestamp()) * 1000
            self._watches.lags_ms.setdefault(message.status, []).append(lag_ms)
            self._watches.arrivals.append((self._order_id, message.seq, arrived_at))
        self._seq, self._status = message.seq, message.status

    def ended(self, code: int) -> None:
        if self._wrong is None and (code != 1000 or self._status not in FINAL):
            self._wrong = f"closed with {code} at {self._status or 'nothing'}"
        self._watches.end(self._wrong)
