"""The one table of the engine's processes and of the queues between them.

Supervision, container mode, the Celery app, metrics, compose checks and the documentation read it. It is data only and
imports nothing, so that every layer can.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One kind of process. Its name is the pid file's, the log's, the compose service's and the Celery worker's."""

    name: str
    queue: str | None = None
    """The Celery queue that it consumes."""
    tasks: tuple[str, ...] = ()
    """The tasks that arrive there."""
    threads: int = 4
    """Of its Celery pool."""
    threads_variable: str | None = None
    """Environment variable that replaces `threads`."""
    count_variable: str | None = None
    """Environment variable with the number of such processes; without one there is exactly one."""
    signs: bool = False
    """Uses wallets' keys; no other kind of process gets a variable that leads to one."""
    nice: int = 0
    """Where processors are short, orders go before whoever only watches."""


WEB = Kind("web", count_variable="WEB_WORKERS")
ORDERS = Kind(
    "orders",
    queue="orders",
    tasks=("execute_orders",),
    threads=400,
    threads_variable="ORDER_THREADS",
    count_variable="WORKERS_ORDERS",
    signs=True,
)
WEBHOOKS = Kind("webhooks", nice=10)
KINDS: tuple[Kind, ...] = (
    WEB,
    ORDERS,
    Kind(
        "dbsync", queue="dbsync", tasks=("reconcile", "expire_orders", "keep_book", "keep_books", "step_plans", "prune")
    ),
    Kind("quotes", queue="quotes", tasks=("poll_quotes",)),
    Kind("beat"),
    Kind("limit", queue="limit", tasks=("match_limits",)),
    Kind("sniper", queue="sniper", tasks=("match_snipers",)),
    WEBHOOKS,
    Kind("flower", nice=10),
)
"""In the order in which they start."""

TICK: dict[str, bool] = {"ignore_result": True, "send_events": False}
"""Options of the tasks that beat sends all the time. Flower is not told: nine a second would drive the tasks of orders out of
its memory within minutes, and telling it costs a third of what such a task does."""

UNCONSUMED = {"dead": ("dead_letter",)}
"""Queues that no process of ours consumes: whoever watches dead letters does. With the tasks that go there."""

QUEUE_TASKS: dict[str, tuple[str, ...]] = {kind.queue: kind.tasks for kind in KINDS if kind.queue} | UNCONSUMED
QUEUES: tuple[str, ...] = tuple(QUEUE_TASKS)
QUEUE_OF: dict[str, str] = {task: queue for queue, tasks in QUEUE_TASKS.items() for task in tasks}
"""The queue of each task."""


def kind(name: str) -> Kind:
    """Raises `KeyError` for an unknown name."""
    return {each.name: each for each in KINDS}[name]


def kind_of(process: str) -> str:
    """`orders` of `orders-2`, `web` of `web`: the kind that a process's name begins with."""
    return process.partition("-")[0]


def names(kind: Kind, count: int) -> list[str]:
    """Of the processes of a kind: `orders-1`, `orders-2`, …; the web's first and all single ones have no number."""
    if kind.count_variable is None:
        return [kind.name]
    first = kind.name if kind is WEB else f"{kind.name}-1"
    return [first, *(f"{kind.name}-{n}" for n in range(2, count + 1))]
