"""Whether the process lives, and whether the engine can do what it promises."""

import time
from typing import Any

import redis
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from orderengine.host import disk, draining
from routing.world import price_store
from triggers import pulse

ALIVE_S = settings.EXECUTOR_DEAD_AFTER_S
OK, CLOSED, STILL = "ok", "closed", "stands still"
WRITABLE = """
SELECT count(*), current_setting('transaction_read_only') = 'on' OR pg_is_in_recovery()
FROM orders_executor WHERE state = 'alive' AND heartbeat_at > now() - %s * interval '1 second'
"""
PROBE_KEY = "health:probe"
PROBE_MS = 60_000
TURNS = {"quotes": "poll_quotes", "reconciling": "reconcile", "triggers": "keep_book"}
"""Name in the answer: the periodic task that must not stand still (`triggers.pulse`)."""


@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """This process answers and is not stopping. No I/O."""
    if draining.began():
        return JsonResponse({"status": "stopping"}, status=503)
    return JsonResponse({"status": "ok"})


@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Each dependency, by what is asked of it.

    503: nothing can be accepted, because Postgres is away, takes no writes, or its disk is full. 200 with `degraded`: orders are
    accepted and something else waits. Values are `ok` or say what is wrong; of a venue's circuit breaker closed, open, half-open.
    """
    if draining.began():
        return JsonResponse({"status": "stopping", "dependencies": {}}, status=503)
    postgres, executors = postgres_state()
    dependencies: dict[str, Any] = {
        "postgres": postgres,
        **disk_state(),
        **redis_probe.states(),
        "executors": executors,
    }
    ready = postgres == OK and dependencies.get("disk", OK) == OK
    degraded = any(isinstance(state, str) and state not in (OK, CLOSED) for state in dependencies.values())
    status = "unavailable" if not ready else "degraded" if degraded or not executors else OK
    return JsonResponse({"status": status, "dependencies": dependencies}, status=200 if ready else 503)


def postgres_state() -> tuple[str, int]:
    """Whether a session takes writes, and how many executors have a heartbeat."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(WRITABLE, [ALIVE_S])
            executors, read_only = cursor.fetchone()
            return ("read-only" if read_only else OK), int(executors)
    except DatabaseError:
        return "unreachable", 0


def disk_state() -> dict[str, str]:
    """Of an embedded Postgres' disk; a Postgres elsewhere says so itself."""
    if not settings.EMBEDDED:
        return {}
    try:
        return {"disk": OK if disk.free(settings.DATA_DIR) >= disk.FULL_BYTES else "full"}
    except OSError as error:
        return {"disk": f"unreadable: {error.strerror}"}


class RedisProbe:
    """One client for the life of the process, connected at the first question, closed by `orderengine.asgi` at its stop.

    Django reaches its views without arguments, so the process' probe is a name of this module.
    """

    def __init__(self) -> None:
        self._client: redis.Redis | None = None
        self._seen: set[str] = set()
        """Tasks that have left a time once: from then on a missing one is no unknown one."""

    def states(self) -> dict[str, str]:
        """`redis`, the tasks of `TURNS` that have left a time, and each venue's circuit breaker."""
        try:
            return {"redis": OK, **self._turns(), **self._venues()}
        except redis.ResponseError as error:
            # READONLY of a replica, OOM at maxmemory, MISCONF of a full disk, NOPERM.
            code = str(error).rpartition("caused error: ")[2].partition(" ")[0]
            return {"redis": f"refuses writes: {code}"}
        except redis.RedisError:
            return {"redis": "unreachable"}

    def _turns(self) -> dict[str, str]:
        if self._client is None:
            self._client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=1, socket_connect_timeout=1)
        pipe = self._client.pipeline(transaction=False)
        pipe.set(PROBE_KEY, int(time.time()), px=PROBE_MS)
        pipe.execute()
        ages = pulse.ages_s(self._client)
        found = {}
        for name, task in TURNS.items():
            if (age := ages[task]) is not None:
                self._seen.add(name)
                found[name] = OK if age <= pulse.STILL_AFTER_S else STILL
            elif name in self._seen:
                found[name] = STILL
        return found

    def _venues(self) -> dict[str, str]:
        return {venue.lower(): state for venue, state in sorted(price_store().venue_states().items())}

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


redis_probe = RedisProbe()
