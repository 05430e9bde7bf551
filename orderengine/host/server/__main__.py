"""`python -m orderengine.host.server`: the web process."""

import argparse
import contextlib
import os
import sys
from functools import partial
from typing import Any

import uvicorn

from orderengine.host import draining
from orderengine.host.server.bounds import Bounds, Connections
from orderengine.host.server.http import Protocol
from orderengine.host.server.websocket import SocketProtocol

STARTUP_FAILURE = 3
"""uvicorn's exit code where the application does not start."""


def bounds() -> Bounds:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orderengine.settings")
    from django.conf import settings

    return Bounds(
        max_request_line=settings.MAX_REQUEST_LINE_BYTES,
        max_head=settings.MAX_HEAD_BYTES,
        max_headers=settings.MAX_HEADERS,
        max_body=settings.MAX_BODY_BYTES,
        head_s=settings.HEAD_TIMEOUT_S,
        body_s=settings.BODY_TIMEOUT_S,
        write_s=settings.WRITE_TIMEOUT_S,
        keep_alive_s=settings.KEEP_ALIVE_S,
        max_pipelined=settings.MAX_PIPELINED,
        max_connections=settings.MAX_CONNECTIONS,
        max_connections_per_address=settings.MAX_CONNECTIONS_PER_ADDRESS,
        max_frames=settings.MAX_FRAMES,
        max_frame_bytes=settings.MAX_FRAME_BYTES,
        proxies=tuple(settings.TRUSTED_PROXIES),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--app", default="orderengine.asgi:application")
    parser.add_argument("--fd", type=int, help="a listening socket")
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    parser.add_argument("--lifespan", default="on", choices=["on", "off"])
    options = parser.parse_args()
    try:
        delay_s = draining.stop_delay_s()
    except ValueError as error:
        parser.error(str(error))
    address = {name: value for name in ("fd", "host", "port") if (value := getattr(options, name)) is not None}
    connections = Connections(bounds())
    # uvicorn calls them with keyword arguments only; it declares classes.
    http: Any = partial(Protocol, connections=connections)
    websocket: Any = partial(SocketProtocol, connections=connections)
    config = uvicorn.Config(
        options.app,
        **address,
        lifespan=options.lifespan,
        loop="uvloop",
        http=http,
        ws=websocket,
        ws_max_size=65536,
        ws_per_message_deflate=False,
        headers=[("keep-alive", f"timeout={connections.bounds.keep_alive_s:.0f}")],
        # uvicorn by itself believes X-Forwarded-For of everybody on this machine.
        proxy_headers=bool(os.environ.get("FORWARDED_ALLOW_IPS")),
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=4,
        backlog=4096,
    )
    server = draining.Server(config, delay_s)
    with contextlib.suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        sys.exit(STARTUP_FAILURE)


if __name__ == "__main__":
    main()
