"""`python -m webhooks`: the process that sends webhooks. Of several one sends, the others stand by."""

import asyncio
import contextlib
import os
import signal

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orderengine.settings")


async def serve() -> None:
    from django.conf import settings

    from orders.telemetry import share_metrics
    from runtime.liveness import PERIOD_S, touch
    from webhooks.post import Poster
    from webhooks.sender import Rules, Sender

    share_metrics(settings.METRICS_DIR, "webhooks")
    poster = Poster(allowed=settings.WEBHOOK_ALLOWED_NETWORKS, timeout_s=settings.WEBHOOK_TIMEOUT_S)
    rules = Rules(
        retry_base_s=settings.WEBHOOK_RETRY_BASE_MS / 1000,
        retry_for_s=settings.WEBHOOK_RETRY_HOURS * 3600,
        keep_days=settings.WEBHOOK_RETENTION_DAYS,
        concurrency=settings.WEBHOOK_CONCURRENCY,
    )
    sending = asyncio.create_task(Sender(settings.DATABASE_URL, poster, rules).run())
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, sending.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        while not (await asyncio.wait((sending,), timeout=PERIOD_S))[0]:
            touch()
        sending.result()
    await poster.close()


def main() -> None:
    import django
    import uvloop

    django.setup()
    uvloop.run(serve())


if __name__ == "__main__":
    main()
