"""Task events leave together."""

import threading
import time
from types import SimpleNamespace

import pytest
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
            while time.monotonic() < began + 0.3:
                hub.run_once()
            assert len(flushed) == rounds
            assert flushed[-1] - began >= 0.1
    finally:
        hub.close()


def test_the_step_stands_in_the_consumer() -> None:
    assert celery_app.TogetherEvents in celery_app.app.steps["consumer"]
