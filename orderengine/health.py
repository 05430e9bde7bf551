"""Whether the process lives, and whether it can do its work."""

import redis
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from orderengine.host import draining
from routing.prices import PriceStore

ALIVE_S = 6


@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """This process answers and was not told to stop. No I/O."""
    if draining.began():
        return JsonResponse({"status": "stopping"}, status=503)
    return JsonResponse({"status": "ok"})


@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Each dependency. Without Postgres nothing can be accepted (503); without Redis work waits, accepting goes on (200)."""
    if draining.began():
        return JsonResponse({"status": "stopping", "dependencies": {}}, status=503)
    postgres, executors = postgres_state()
    redis_said, venues = redis_state()
    dependencies = {"postgres": postgres, "redis": redis_said, "executors": executors, **venues}
    ready = postgres == "ok"
    degraded = any(isinstance(state, str) and state not in ("ok", "closed") for state in dependencies.values())
    status = "unavailable" if not ready else "degraded" if degraded or not executors else "ok"
    return JsonResponse({"status": status, "dependencies": dependencies}, status=200 if ready else 503)


def postgres_state() -> tuple[str, int]:
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM orders_executor WHERE state = 'alive' AND heartbeat_at > now() - %s * interval '1 second'",
                [ALIVE_S],
            )
            return "ok", int(cursor.fetchone()[0])
    except DatabaseError:
        return "unreachable", 0


def redis_state() -> tuple[str, dict[str, str]]:
    """Whether Redis answers, and how the poller's circuit breaker of each venue stands: closed, open or half-open."""
    prices = PriceStore(settings.REDIS_URL)
    try:
        return "ok", {venue.lower(): state for venue, state in sorted(prices.venue_states().items())}
    except redis.RedisError:
        return "unreachable", {}
    finally:
        prices.close()
