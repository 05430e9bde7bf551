"""The Celery tasks of orders: thin, by name, ids only. What they need has an owner that the worker process starts and closes."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from celery import shared_task
from django.conf import settings

from orders.execution.worker import Worker
from orders.recovery.worker import Recovery
from runtime.fleet import TICK


class Owners:
    """The objects of this worker process. Each is made at the worker's start, or by the first task that needs it."""

    def __init__(self) -> None:
        self._making = threading.Lock()
        self._worker: Worker | None = None
        self._recovery: Recovery | None = None

    def worker(self, name: str = "orders") -> Worker:
        """This process's executor."""
        with self._making:
            if self._worker is None:
                self._worker = Worker(name)
            return self._worker

    def recovery(self) -> Recovery:
        with self._making:
            if self._recovery is None:
                self._recovery = Recovery(settings)
            return self._recovery

    def start(self, queues: Sequence[str], name: str) -> None:
        """Makes what a worker of these queues needs: it is an executor from its first second, not from its first order."""
        if "orders" in queues:
            self.worker(name)
        if "dbsync" in queues:
            self.recovery()

    def drain(self) -> None:
        """Begins to stop, without waiting."""
        if self._worker is not None:
            self._worker.drain()

    def close(self) -> None:
        if self._worker is not None:
            self._worker.close()
        if self._recovery is not None:
            self._recovery.close()


owners = Owners()


@shared_task(name="execute_orders", queue="orders", ignore_result=True)
def execute_orders(*, order_ids: Sequence[str], trigger: Mapping[str, Any] | None = None, **_: Any) -> None:
    """Executes those of the orders that are due; `trigger` is what fired resting ones."""
    owners.worker().execute([UUID(order_id) for order_id in order_ids], trigger)


@shared_task(name="reconcile", queue="dbsync", **TICK)
def reconcile(**_: Any) -> None:
    """Finds what wake-ups, executors and Redis have lost."""
    owners.recovery().reconcile()


@shared_task(name="expire_orders", queue="dbsync", **TICK)
def expire_orders(**_: Any) -> None:
    """Ends orders that waited past their time."""
    owners.recovery().expire()


@shared_task(name="keep_book", queue="dbsync", **TICK)
def keep_book(**_: Any) -> None:
    """Keeps the trigger book true to Postgres."""
    owners.recovery().keep_book()


@shared_task(name="step_plans", queue="dbsync", **TICK)
def step_plans(**_: Any) -> None:
    """Takes the steps of plans that are due."""
    owners.recovery().step_plans()


@shared_task(name="prune", queue="dbsync", **TICK)
def prune(**_: Any) -> None:
    """Deletes executors that stopped long ago, and finished orders where RETENTION_DAYS says so."""
    owners.recovery().prune()
