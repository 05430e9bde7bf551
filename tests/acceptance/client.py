"""A client as a user would write one: posts an order, watches its socket."""

import asyncio
import json
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any
from uuid import uuid4

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.engine import Engine
from tests.onchain import Witness

ORDER = {"tokenIn": "SOL", "tokenOut": "USDC", "amount": "1.5"}
STAGES = ["pending", "routing", "building", "submitted", "confirmed"]


@dataclass
class Watched:
    """What a socket said until it was closed."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    code: int | None = None

    @property
    def snapshot(self) -> dict[str, Any]:
        first = self.messages[0]
        assert first["type"] == "snapshot", first
        return first

    @property
    def events(self) -> list[dict[str, Any]]:
        """Those in the snapshot and those that followed, as they came."""
        return [*self.snapshot["events"], *self.messages[1:]]

    @property
    def facts(self) -> list[dict[str, Any]]:
        """The events as REST has them."""
        return [{name: event[name] for name in ("seq", "status", "at", "data")} for event in self.events]

    @property
    def stages(self) -> list[tuple[int, str]]:
        return [(event["seq"], event["status"]) for event in self.events]


class Client:
    """Speaks to an engine in local mode; `staff` with the staff key."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.http = httpx.AsyncClient(base_url=engine.url, timeout=30, limits=httpx.Limits(max_connections=100))
        self.staff = {"Authorization": f"Bearer {engine.credentials['staffApiKey']}"}

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.http.aclose()

    async def execute(self, headers: dict[str, str] | None = None, **fields: Any) -> httpx.Response:
        return await self.http.post("/api/orders/execute", json={**ORDER, **fields}, headers=headers)

    async def place(self, **fields: Any) -> dict[str, Any]:
        """Comes again with its key after a 503: a busy machine may use up the two seconds of any one request."""
        key = {"Idempotency-Key": uuid4().hex}
        async with asyncio.timeout(30):
            while (answer := await self.execute(key, **fields)).status_code == 503:
                await asyncio.sleep(0.1)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def place_many(self, count: int) -> list[str]:
        """A batch; those of it that were late are sent again with it, and the others are not taken twice."""
        body, key = {"orders": [ORDER] * count}, {"Idempotency-Key": uuid4().hex}
        async with asyncio.timeout(30):
            while True:
                results = (await self.http.post("/api/orders/batch", json=body, headers=key)).json()["results"]
                errors = {result["error"]["code"] for result in results if "error" in result}
                assert errors <= {"UNAVAILABLE"}, errors
                if not errors:
                    return [result["orderId"] for result in results]

    async def watch(self, order_id: str, *, after: int | None = None) -> Watched:
        """All that the socket says, until it is closed."""
        path = f"/ws/{order_id}" + ("" if after is None else f"?after={after}")
        watched = Watched()
        async with connect(self.engine.ws_url + path, open_timeout=30) as socket:
            try:
                while True:
                    watched.messages.append(json.loads(await socket.recv()))
            except ConnectionClosed as closed:
                watched.code = closed.rcvd and closed.rcvd.code
        return watched

    async def get(self, path: str, *, staff: bool = False) -> Any:
        answer = await self.http.get(path, headers=self.staff if staff else {})
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def chain(self, order_id: str | None = None) -> Any:
        """`landed`, `ordersLandedTwice`, `submissions`: the mock's log, or what a real chain says over RPC."""
        if self.engine.mode == "localnet":
            return await asyncio.to_thread(self._on_chain, order_id)
        return await self.get("/api/mock/chain" + (f"?orderId={order_id}" if order_id else ""), staff=True)

    def _on_chain(self, order_id: str | None) -> dict[str, Any]:
        witness = Witness.call(self.engine.localnet["rpcUrl"], self.engine.services["databaseUrl"])
        try:
            return witness.report(order_id)
        finally:
            witness.chain.close()
