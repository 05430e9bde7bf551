"""Task events leave together."""

import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest
from celery.events import EventDispatcher
from kombu import Connection, Producer
from kombu.asynchronous import Hub
from kombu.asynchronous.timer import Timer

import celery_app


def test_events_of_a_window_leave_in_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(celery_app, "EVENTS_WINDOW_S", 0.1)
    flushed: list[float] = []
    dispatcher = SimpleNamespace(flush=lambda: flushed.append(time.monotonic()), on_send_buffered=None)
    hub = Hub(timer=Timer())
    try:
        step = celery_app.TogetherEvents(None)
        step.start(SimpleNamespace(hub=hub, event_dispatcher=dispatcher))
        for rounds in (1, 2):
            began = time.monotonic()
            # Tasks end in the pool's threads.
            threads = [threading.Thread(target=dispatcher.on_send_buffered) for _ in range(5)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            while len(flushed) < rounds and time.monotonic() < began + 30:
                hub.run_once()
            assert flushed[-1] - began >= 0.1
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            hub.run_once()
        assert len(flushed) == 2
    finally:
        hub.close()


def test_only_the_hub_s_thread_publishes_however_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads that read a connection of RabbitMQ's take each other's bytes, and publishing reads."""
    monkeypatch.setattr(celery_app, "EVENTS_WINDOW_S", 0.1)
    published: list[tuple[str, int]] = []
    hub = Hub(timer=Timer())
    with Connection("memory://") as connection:
        dispatcher = EventDispatcher(connection, app=celery_app.app, buffer_group=["task"])

        class Watched(Producer):
            def publish(self, body: list[Any], **options: Any) -> Any:
                published.append((threading.current_thread().name, len(body)))
                return super().publish(body, **options)

        dispatcher.producer = Watched(connection, exchange=dispatcher.exchange, serializer="json", auto_declare=False)

        def end_tasks() -> None:
            for n in range(50):
                dispatcher.send("task-succeeded", uuid=str(n))

        try:
            step = celery_app.TogetherEvents(None)
            step.start(SimpleNamespace(hub=hub, event_dispatcher=dispatcher))
            threads = [threading.Thread(target=end_tasks) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            end = time.monotonic() + 30
            while sum(many for _, many in published) < 200 and time.monotonic() < end:
                hub.run_once()
        finally:
            hub.close()
    assert published == [(threading.current_thread().name, 200)]


def test_the_step_stands_in_the_consumer() -> None:
    assert celery_app.TogetherEvents in celery_app.app.steps["consumer"]
