"""Dispatch messages repeated, replayed, stolen."""

import asyncio
import time

from runtime.redis_url import for_kombu
from tests.chaos.faults.registry import TWO, fault
from tests.chaos.trial import Trial


def taken(trial: Trial) -> list[str]:
    return [order_id for answers in trial.load.orders.values() for order_id in answers]


def dispatch(trial: Trial, order_ids: list[str], times: int) -> None:
    """Messages as the engine's own, straight to the broker."""
    from celery import Celery

    app = Celery(broker=for_kombu(trial.arena.redis_url), set_as_current=False)
    with app.connection_for_write() as connection, app.amqp.producer_pool.acquire() as producer:
        del connection
        for _ in range(times):
            app.send_task(
                "execute_orders", kwargs={"order_ids": order_ids}, queue="orders", producer=producer, ignore_result=True
            )
    app.close()


@fault(TWO)
async def dispatches_repeated(trial: Trial) -> None:
    """Each message a hundred times."""
    for _ in range(4):
        await asyncio.to_thread(dispatch, trial, taken(trial)[-30:], 100)
        await asyncio.sleep(0.5)
    trial.heal()


@fault(TWO)
async def dispatches_replayed(trial: Trial) -> None:
    """Every message of the whole run again, after its orders have ended."""
    await asyncio.sleep(5)
    rows = trial.arena.sql("SELECT id FROM orders_order WHERE finished_at IS NOT NULL ORDER BY id DESC LIMIT 2000")
    order_ids = [str(row[0]) for row in rows]
    for start in range(0, len(order_ids), 100):
        await asyncio.to_thread(dispatch, trial, order_ids[start : start + 100], 5)
    trial.heal()


@fault(TWO)
async def dispatches_stolen(trial: Trial) -> None:
    """Somebody else takes messages from the queue."""
    client = trial.arena.redis()
    ends = time.monotonic() + 6
    while time.monotonic() < ends:
        await asyncio.to_thread(client.blpop, "orders", 1)
    trial.heal()
