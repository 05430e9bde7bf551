"""The Celery app: queues, routes, and the limits that keep a sick broker from holding anybody up."""

import logging
import math
import os
from typing import Any

from celery import Celery, bootsteps
from celery.signals import celeryd_after_setup, setup_logging, worker_shutdown, worker_shutting_down
from celery.worker.consumer.delayed_delivery import DelayedDelivery
from kombu.entity import Exchange, Queue

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orderengine.settings")
# Celery would have every worker run Django's system checks, which import all views; `make check` runs them.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")

from django.conf import settings  # noqa: E402

from runtime import fleet, redis_queue, redis_url  # noqa: E402
from runtime.liveness import PERIOD_S, touch  # noqa: E402
from runtime.process import ABOUT  # noqa: E402

log = logging.getLogger(__name__)
QUEUES = fleet.QUEUES


def queue(name: str) -> Queue:
    if not settings.RABBITMQ:
        return Queue(name)
    # Replicated, on disk. Countdowns wait in the broker, which takes a topic exchange and no global QoS.
    exchange = Exchange("orderengine", type="topic")
    return Queue(name, exchange, routing_key=name, queue_arguments={"x-queue-type": "quorum"})


redis_queue.install()
app = Celery("orderengine", broker=redis_url.for_kombu(settings.CELERY_BROKER_URL))
app.conf.update(
    task_queues=[queue(name) for name in QUEUES],
    task_default_queue="dbsync",
    # A misspelt queue must fail, not be made and fill up.
    task_create_missing_queues=False,
    task_routes={task: {"queue": name} for task, name in fleet.QUEUE_OF.items()},
    task_serializer="json",
    result_serializer="json",
    event_serializer="json",
    accept_content=["json"],
    task_ignore_result=True,
    task_store_errors_even_if_ignored=False,
    result_backend=None,
    # There are no results to clean up, and beat would look every time whether that is due.
    result_expires=None,
    # Without these a publisher waits without end on a frozen Redis: kombu's default is no timeout.
    broker_transport_options={
        "socket_timeout": 2,
        "socket_connect_timeout": 1,
        **redis_queue.OPTIONS,
    }
    if not settings.RABBITMQ
    else {"confirm_publish": True, "read_timeout": 5, "write_timeout": 5},
    broker_connection_timeout=4 if settings.RABBITMQ else 1,
    worker_detect_quorum_queues=True,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    # A Redis that is full or read-only says so on the channel: the worker waits for it instead of ending.
    broker_channel_error_retry=True,
    task_publish_retry_policy={
        "max_retries": 1,
        "interval_start": 0,
        "interval_step": 0.1,
        "interval_max": 0.2,
    },
    worker_prefetch_multiplier=1,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    worker_send_task_events=True,
    worker_hijack_root_logger=False,
    task_track_started=False,
    timezone="UTC",
)
# Lines for each task would cost more than the task does.
for name in ("celery.beat", "celery.worker.strategy", "celery.app.trace"):
    logging.getLogger(name).setLevel(logging.WARNING)
app.autodiscover_tasks(["books", "orders", "routing", "triggers"])


class Liveness(bootsteps.StartStopStep):  # type: ignore[misc]
    """Touches the file of `runtime.liveness` by the consumer's own timer: a worker whose loop hangs does not."""

    requires = {"celery.worker.components:Timer"}

    def __init__(self, parent: Any, **_: Any) -> None:
        self._entry: Any = None

    def start(self, parent: Any) -> None:
        touch()
        self._entry = parent.timer.call_repeatedly(PERIOD_S, touch)

    def stop(self, parent: Any) -> None:
        if self._entry is not None:
            self._entry.cancel()


app.steps["worker"].add(Liveness)


class AllQueues(bootsteps.StartStopStep):  # type: ignore[misc]
    """On RabbitMQ every worker makes all queues before it binds them to where countdowns wait.

    Celery makes only those that the worker consumes, and then calls the others' absence critical.
    """

    requires = ("celery.worker.consumer.connection:Connection",)

    def include_if(self, parent: Any) -> bool:
        return bool(settings.RABBITMQ)

    def start(self, parent: Any) -> None:
        for each in parent.app.amqp.queues.values():
            each(parent.connection.default_channel).declare()


app.steps["consumer"].add(AllQueues)
DelayedDelivery.requires = (*DelayedDelivery.requires, AllQueues)

EVENTS_WINDOW_S = 1.0
"""Seconds by which Flower learns of tasks later. Their times are in the events."""


class TogetherEvents(bootsteps.StartStopStep):  # type: ignore[misc]
    """Sends task events together, once in a window: every message costs work in Redis, in Flower and in its page.

    They are sent from the hub's thread. On RabbitMQ the hub reads the events' connection for the broker's heartbeats, and a
    thread that publishes reads it, too, for the confirmation: the two would take each other's bytes, and the worker would
    stand still until its connection breaks.
    """

    requires = ("celery.worker.consumer.events:Events",)

    def __init__(self, parent: Any, **_: Any) -> None:
        self._waiting = False

    def start(self, parent: Any) -> None:
        hub, dispatcher = parent.hub, parent.event_dispatcher
        if hub is None:
            return
        self._waiting = False
        # A full buffer is sent by the thread that filled it.
        dispatcher.buffer_limit = math.inf

        def flush() -> None:
            self._waiting = False
            dispatcher.flush()

        def buffered() -> None:
            if not self._waiting:
                self._waiting = True
                # Called from any thread; timers belong to the hub's.
                hub.call_soon(hub.call_later, EVENTS_WINDOW_S, flush)

        dispatcher.on_send_buffered = buffered


app.steps["consumer"].add(TogetherEvents)


@setup_logging.connect
def keep_our_logging(**_: Any) -> None:
    """Because something is connected to this signal, Celery leaves logging as the settings made it."""


@celeryd_after_setup.connect
def start_owners(sender: str, instance: Any, **_: Any) -> None:
    """What the tasks of this worker need is made before its first task."""
    from orders import tasks
    from orders.telemetry import share_metrics
    from triggers import tasks as trigger_tasks

    ABOUT["worker"] = sender
    name = sender.partition("@")[0]
    # By kind, not by number: the slot of one that ended is continued by whichever comes next.
    share_metrics(settings.METRICS_DIR, fleet.kind_of(name))
    queues = list(instance.app.amqp.queues.consume_from)
    try:
        tasks.owners.start(queues, name)
        trigger_tasks.owners.start(queues)
    except Exception as error:
        # Celery logs what a signal's receiver raises and goes on. Without what its tasks need the worker would look well and
        # have no heartbeat: it ends, and whoever started it starts it again.
        log.critical("the worker does not start: %s", error)
        raise SystemExit(1) from error


@worker_shutting_down.connect
def drain_owners(**_: Any) -> None:
    from orders import tasks

    tasks.owners.drain()


@worker_shutdown.connect
def close_owners(**_: Any) -> None:
    from books import tasks as book_tasks
    from orders import tasks
    from triggers import tasks as trigger_tasks

    tasks.owners.close()
    trigger_tasks.owners.close()
    book_tasks.owners.close()
