"""What a run asks of Postgres and Redis: WAL, row updates, commands, connections."""

from dataclasses import dataclass

import redis

from benchmarks.engines import BenchEngine
from benchmarks.figures import Figure

COUNTERS = """
SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float8,
    (SELECT sum(n_tup_upd)::float8 FROM pg_stat_user_tables WHERE relname = 'orders_order'),
    (SELECT sum(n_tup_hot_upd)::float8 FROM pg_stat_user_tables WHERE relname = 'orders_order'),
    (SELECT count(*)::float8 FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid())
"""


@dataclass(frozen=True)
class Snapshot:
    """Counters since the servers started, and connections at the moment."""

    wal_bytes: float
    updates: float
    hot_updates: float
    postgres_connections: float
    redis_commands: float
    redis_connections: float


def snapshot(engine: BenchEngine) -> Snapshot:
    # Backends report their counts once a second at most; ours would keep old ones otherwise.
    engine.rows("SELECT pg_stat_clear_snapshot()")
    wal_bytes, updates, hot_updates, connections = engine.row(COUNTERS)
    with redis.Redis.from_url(engine.engine.services["redisUrl"]) as client:
        info = client.info()
    return Snapshot(
        wal_bytes=wal_bytes,
        updates=updates,
        hot_updates=hot_updates,
        postgres_connections=connections,
        redis_commands=float(info["total_commands_processed"]),
        redis_connections=float(info["connected_clients"]),
    )


def figures(name: str, what: str, before: Snapshot, after: Snapshot, orders: int) -> list[Figure]:
    """What one order took between the two."""
    share = 100 * (after.hot_updates - before.hot_updates) / max(1.0, after.updates - before.updates)
    wal = (after.wal_bytes - before.wal_bytes) / max(1, orders)
    commands = (after.redis_commands - before.redis_commands) / max(1, orders)
    return [
        Figure(f"{name}.wal", f"{what}: WAL", wal, "bytes/order"),
        Figure(f"{name}.hot", f"{what}: updates of orders that stay on their page", share, "%"),
        Figure(f"{name}.redis_commands", f"{what}: Redis commands", commands, "an order"),
        Figure(f"{name}.postgres_connections", f"{what}: connections to Postgres", after.postgres_connections),
        Figure(f"{name}.redis_connections", f"{what}: connections to Redis", after.redis_connections),
    ]
