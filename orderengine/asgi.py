"""The web process: two hot endpoints and the sockets beside Django, on one port."""

import os
from typing import Any, cast

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orderengine.settings")

from django.core.asgi import get_asgi_application

django: Any = get_asgi_application()

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.conf import settings  # noqa: E402
from django.urls import path, re_path  # noqa: E402

import celery_app  # noqa: E402, F401  (the broker of what is dispatched)
from accounts.auth import key_ring  # noqa: E402
from accounts.limits import limiter  # noqa: E402
from orderengine.health import redis_probe  # noqa: E402
from orders.asgi_types import Receive, Scope, Send  # noqa: E402
from orders.http.gate import Gate  # noqa: E402
from orders.web import Web  # noqa: E402

web = Web(settings, key_ring(), limiter())
# Channels routes ASGI callables through Django's `path`, whose types know only views.
sockets: Any = web.sockets


async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await web.start()
            await send({"type": "lifespan.startup.complete"})
        else:
            await web.stop()
            redis_probe.close()
            return await send({"type": "lifespan.shutdown.complete"})


async def no_socket(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.close", "code": 4404})


pages = Gate(
    URLRouter([path("metrics", cast(Any, web.metrics.endpoint)), re_path("", django)]),
    limiter(),
    allowed_hosts=settings.ALLOWED_HOSTS,
)
routes = ProtocolTypeRouter(
    {
        "lifespan": lifespan,
        "http": pages,
        "websocket": URLRouter(
            [
                path("ws/orders", sockets.account),
                path("ws/plans/<str:plan_id>", sockets.plan),
                path("ws/quotes/<str:pair>", sockets.quotes),
                path("ws/<str:order_id>", sockets.order),
                re_path("", cast(Any, no_socket)),
            ]
        ),
    }
)

V1 = "/api/v1/"
"""The present version of the REST API under its own name; `/api/` is the same (docs/rest.md, "Versions")."""
INTAKE = {"/api/orders/execute": web.intake.execute, "/api/orders/batch": web.intake.batch}


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Orders go straight to their endpoint: routing costs a tenth of what they do.

    A browser's question before a POST from another origin (OPTIONS) is answered by Django's middleware.
    """
    if scope["type"] == "http":
        if scope["path"].startswith(V1):
            scope = {**scope, "path": "/api/" + scope["path"][len(V1) :]}
        if scope["method"] != "OPTIONS" and (intake := INTAKE.get(scope["path"])):
            return await intake(scope, receive, send)
    await routes(scope, receive, send)
