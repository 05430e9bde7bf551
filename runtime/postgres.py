"""How every process connects to Postgres: no caller waits long while it is away, nor after it is back."""

from typing import Any

CONNECT: dict[str, Any] = {
    "connect_timeout": 2,
    # Without these a connection whose other end has vanished is waited on for a quarter of an hour.
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
POOL: dict[str, Any] = {
    "min_size": 0,
    # Below the 1.8 s after which a client gets its 503 from the event loop.
    "timeout": 1.5,
    # A pool tries again after 1, 2, 4, 8 … s and meanwhile for nobody else: after a minute's outage it would give no
    # connection for half a minute more. Given up at once, the next who asks tries anew.
    "reconnect_timeout": 0.5,
}
