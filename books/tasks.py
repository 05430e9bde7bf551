"""The Celery task of the books: thin, by name. The worker process closes what it needs."""

import threading
from typing import Any

from celery import shared_task
from django.conf import settings

from books.following import Following
from runtime.fleet import TICK


class Owners:
    """What follows the fills in this worker process, made by the first task that needs it."""

    def __init__(self) -> None:
        self._making = threading.Lock()
        self._following: Following | None = None

    def following(self) -> Following:
        with self._making:
            if self._following is None:
                self._following = Following(settings)
            return self._following

    def close(self) -> None:
        """When no task runs any more."""
        with self._making:
            if self._following is not None:
                self._following.close()
            self._following = None


owners = Owners()


@shared_task(name="keep_books", queue="dbsync", **TICK)
def keep_books(**_: Any) -> None:
    """Notes what is lost today, and writes checkpoints of the books."""
    owners.following().run()
