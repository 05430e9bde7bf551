"""What the broker knows of its queues."""

import logging

from celery import current_app
from kombu.exceptions import ChannelError

log = logging.getLogger(__name__)


def messages_waiting(queue: str) -> int | None:
    """Messages on the queue that no worker has taken; None when the broker does not answer."""
    try:
        with current_app.pool.acquire(block=True) as connection:
            # Without a bound the caller would wait for as long as the broker is away.
            connection.ensure_connection(max_retries=1, interval_start=0, interval_max=0.2)
            return int(connection.default_channel.queue_declare(queue, passive=True).message_count)
    except ChannelError:
        return 0  # Redis keeps no empty list, so kombu does not know an empty queue.
    except Exception as error:
        log.warning("the broker does not answer: %s", error)
        return None
