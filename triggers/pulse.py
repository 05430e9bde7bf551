"""Whether prices and triggers move: the time of each task's last complete run, by Redis' clock.

It needs no clock of a process, so a process whose clock was stepped neither seems to stand still nor hides that it does.
"""

from typing import Any

from redis import Redis

from triggers.book import source

PULSE = "triggers:pulse"
MARK = source("clock", "mark")
STILL_AFTER_S = 4.5
"""The longest period that an operator may set is 3 s, and `/readyz` is to report it within 5 s."""
FUTURE_S = 1.0
"""A later time than this was written before Redis' clock was set back: it says nothing."""
TASKS = ("poll_quotes", "reconcile", "keep_book")


def mark(redis: "Redis | Any", task: str) -> None:
    """The task has done its work. Also for a pipeline. Raises `redis.RedisError`."""
    redis.eval(MARK, 1, PULSE, task)


def ages_s(redis: Redis) -> dict[str, float | None]:
    """Seconds since the last complete run of each task; None when there was none that can be believed.

    Raises `redis.RedisError`.
    """
    with redis.pipeline(transaction=False) as pipe:
        pipe.time()
        pipe.hmget(PULSE, TASKS)
        (seconds, microseconds), marks = pipe.execute()
    now_s = seconds + microseconds / 1_000_000
    ages = {task: None if at is None else now_s - int(at) / 1000 for task, at in zip(TASKS, marks, strict=True)}
    return {task: None if age is None or age < -FUTURE_S else max(0.0, age) for task, age in ages.items()}


def standing_still(redis: Redis) -> list[str]:
    """The tasks that have not run for `STILL_AFTER_S`: prices (`poll_quotes`), orders (`reconcile`), triggers (`keep_book`).

    Raises `redis.RedisError`.
    """
    return [task for task, age in ages_s(redis).items() if age is None or age > STILL_AFTER_S]
