"""The chain as `routing.chain` has it: sending, and waiting for what becomes of it."""

import asyncio
import base64
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from routing.solana.accounts import Accounts
from routing.solana.nodes import NO_ANSWER, Nodes
from routing.solana.statuses import Statuses
from routing.solana.subscriptions import SIGNATURES, Subscriptions
from routing.values import Fate, Swap, SwapStatus
from routing.venue import SubmitUnknown, VenueUnavailable

log = logging.getLogger(__name__)
POLL_S, SUBSCRIBED_POLL_S = 0.4, 1.5
"""Between two looks at all transactions that are waited for; the second while a node tells by itself what is final."""
RESEND_S = 1.5
"""A transaction that a leader dropped is not kept by anybody: the same bytes are sent until they land or expire."""


@dataclass(eq=False)
class _Watch:
    swap: Swap
    fate: "asyncio.Future[SwapStatus]"
    waiters: int = 0
    hinted: bool = False
    """A node says that it is final."""


class SolanaChain:
    """One event loop at a time. `ws_urls`: where signatures are subscribed to; none: they are asked for."""

    def __init__(
        self, nodes: Nodes, accounts: Accounts, *, ws_urls: Sequence[str] = (), resend_s: float = RESEND_S
    ) -> None:
        self._nodes = nodes
        self._resend_s = resend_s
        self._statuses = Statuses(nodes, accounts)
        self._subscriptions = Subscriptions(list(ws_urls), SIGNATURES, self._hint) if ws_urls else None
        self._watched: dict[str, _Watch] = {}
        self._polling: asyncio.Task[None] | None = None
        self._wake: asyncio.Event | None = None

    async def submit(self, swap: Swap) -> None:
        """See `Chain`. Never raises `SwapRefused`: no answer of a node to a transaction is a proof that it will not land."""
        await self._send(swap, again=False)

    async def _send(self, swap: Swap, *, again: bool) -> None:
        try:
            await self._nodes.send(base64.b64encode(swap.payload).decode(), again=again)
        except NO_ANSWER as error:
            raise SubmitUnknown(str(error), venue=swap.venue) from error

    async def _send_again(self, watch: _Watch) -> None:
        """Unless it is settled before its turn comes at a node."""
        sending = asyncio.create_task(self._send(watch.swap, again=True))
        either: list[asyncio.Future[Any]] = [sending, watch.fate]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sending.cancel()
        await asyncio.wait([sending])
        error = None if sending.cancelled() else sending.exception()
        if error is not None and not isinstance(error, SubmitUnknown):
            raise error

    async def status(self, swaps: Sequence[Swap]) -> list[SwapStatus]:
        """See `Chain`."""
        try:
            return await self._statuses.look(swaps)
        except NO_ANSWER as error:
            raise VenueUnavailable(str(error)) from error

    async def wait(self, swap: Swap, *, timeout_s: float) -> SwapStatus:
        """See `Chain`. The same bytes are sent again meanwhile."""
        if timeout_s <= 0:
            return (await self.status([swap]))[0]
        loop = asyncio.get_running_loop()
        ends = loop.time() + timeout_s
        watch = self._begin(swap, loop)
        try:
            while not watch.fate.done():
                left = ends - loop.time()
                if left <= 0:
                    return SwapStatus(swap.signature, Fate.PENDING)
                await asyncio.wait([watch.fate], timeout=min(left, self._resend_s))
                if not watch.fate.done() and left > self._resend_s:
                    await self._send_again(watch)
            return watch.fate.result()
        finally:
            self._end(watch)

    async def close(self) -> None:
        """See `Chain`."""
        polling, self._polling = self._polling, None
        if polling is not None and polling.get_loop() is asyncio.get_running_loop():
            polling.cancel()
            with suppress(asyncio.CancelledError):
                await polling
        if self._subscriptions is not None:
            await self._subscriptions.close()
        await self._nodes.close()

    def _begin(self, swap: Swap, loop: asyncio.AbstractEventLoop) -> _Watch:
        watch = self._watched.get(swap.signature)
        if watch is None or watch.fate.get_loop() is not loop:
            watch = self._watched[swap.signature] = _Watch(swap, loop.create_future())
            if self._subscriptions is not None:
                self._subscriptions.watch(swap.signature)
        watch.waiters += 1
        if self._polling is None or self._polling.done() or self._polling.get_loop() is not loop:
            self._wake = asyncio.Event()
            self._polling = loop.create_task(self._poll(self._wake))
        return watch

    def _end(self, watch: _Watch) -> None:
        watch.waiters -= 1
        if not watch.waiters and self._watched.get(watch.swap.signature) is watch:
            del self._watched[watch.swap.signature]
            if self._subscriptions is not None:
                self._subscriptions.forget(watch.swap.signature)

    def _hint(self, signature: str, _: Any) -> None:
        if (watch := self._watched.get(signature)) is not None:
            watch.hinted = True
            if self._wake is not None:
                self._wake.set()

    async def _poll(self, wake: asyncio.Event) -> None:
        """Looks at what is waited for until nothing is."""
        clock = asyncio.get_running_loop().time
        due = clock() + POLL_S
        while self._watched:
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, due - clock())):
                    await wake.wait()
            wake.clear()
            try:
                if clock() >= due:
                    await self._look()
                    subscribed = self._subscriptions is not None and self._subscriptions.connected
                    due = clock() + (SUBSCRIBED_POLL_S if subscribed else POLL_S)
                elif not await self._look_at_hinted():
                    due = min(due, clock() + POLL_S)
            except NO_ANSWER as error:
                log.warning("the chain cannot be asked: %s", error)
                due = clock() + POLL_S
            except Exception:
                log.exception("the chain's answer could not be used")
                due = clock() + POLL_S

    async def _look(self) -> None:
        watches = list(self._watched.values())
        for watch, status in zip(watches, await self._statuses.look([watch.swap for watch in watches]), strict=True):
            _settle(watch, status)

    async def _look_at_hinted(self) -> bool:
        """Whether all of them are settled."""
        hinted = [watch for watch in self._watched.values() if watch.hinted and not watch.fate.done()]
        for watch in hinted:
            watch.hinted = False
        statuses = await asyncio.gather(*(self._statuses.landed(watch.swap) for watch in hinted))
        for watch, status in zip(hinted, statuses, strict=True):
            _settle(watch, status)
        # A node may tell of it before it has stored it.
        return all(watch.fate.done() for watch in hinted)


def _settle(watch: _Watch, status: SwapStatus) -> None:
    if status.fate is not Fate.PENDING and not watch.fate.done():
        watch.fate.set_result(status)
