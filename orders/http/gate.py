"""What every request passes on its way to Django: headers that may stand once, the address's limit, a Host for probes."""

from collections.abc import Awaitable, Callable, Sequence

from accounts.limits import Limiter
from accounts.origin import allowed_name
from orders import metrics
from orders.asgi_types import Receive, Scope, Send
from orders.errors import ApiError
from orders.http.errors import rate_limited
from orders.http.protocol import check_single, respond_error

Application = Callable[[Scope, Receive, Send], Awaitable[None]]

PROBES = frozenset({"/healthz", "/readyz"})
"""A load balancer asks by address: its Host names no site, and the answer mentions none."""
UNCHARGED = ("/healthz", "/static/")
"""Neither asks anybody."""
DECISION = "orderengine.rate_limit"


class Gate:
    """Around an ASGI application. The two intake endpoints charge for themselves."""

    def __init__(self, inner: Application, limiter: Limiter, *, allowed_hosts: Sequence[str]) -> None:
        self._inner = inner
        self._limiter = limiter
        self._host = allowed_name(allowed_hosts).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            check_single(scope["headers"])
            if self._limiter.on and not scope["path"].startswith(UNCHARGED):
                scope = await self._charged(scope)
        except ApiError as error:
            return await respond_error(scope, send, error)
        await self._inner(self._named(scope) if scope["path"] in PROBES else scope, receive, send)

    async def _charged(self, scope: Scope) -> Scope:
        """Before anything is looked up. The decision goes along for the answer's headers."""
        client = scope.get("client")
        ask = self._limiter.ask(None, client[0], probe=scope["path"] in PROBES) if client else None
        decision = await self._limiter.take(ask) if ask else None
        if decision is None:
            return scope
        if not decision.through:
            metrics.RATE_LIMITED.inc()
            raise rate_limited(decision)
        return {**scope, DECISION: decision}

    def _named(self, scope: Scope) -> Scope:
        others = [(name, value) for name, value in scope["headers"] if name != b"host"]
        return {**scope, "headers": [*others, (b"host", self._host)]}
