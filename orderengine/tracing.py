"""Sentry and OpenTelemetry, each where its address is set. Without one nothing is imported and there is no cost."""

import importlib
import os
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from orderengine.logs import redacted

NEVER = frozenset({"poll_quotes", "reconcile", "expire_orders", "match_limits", "match_snipers", "prune"})
"""Ticks: several a second, all alike; Sentry's monitors know no interval below a minute either."""
HOT = frozenset({"execute_orders"})


def start_sentry(dsn: str, *, environment: str, sample_rate: float, hot_sample_rate: float) -> None:
    """Errors always, traces sampled: `hot_sample_rate` of order executions, `sample_rate` of everything else."""
    import sentry_sdk
    from sentry_sdk.integrations.celery import CeleryIntegration

    def sampled(context: Mapping[str, Any]) -> float:
        job = context.get("celery_job") or {}
        if job.get("task") in NEVER:
            return 0.0
        return hot_sample_rate if job.get("task") in HOT else sample_rate

    sentry_sdk.init(
        dsn=dsn,
        environment=environment,
        traces_sampler=sampled,
        include_local_variables=False,
        before_send=lambda event, hint: redacted(event),
        before_send_transaction=lambda event, hint: redacted(event),
        before_breadcrumb=lambda crumb, hint: redacted(crumb),
        integrations=[CeleryIntegration(monitor_beat_tasks=False)],
    )


def start_opentelemetry(sample_rate: float) -> None:
    """Django's requests and Celery's tasks, sampled, to OTEL_EXPORTER_OTLP_ENDPOINT over HTTP."""
    try:
        trace = importlib.import_module("opentelemetry.trace")
        sdk = importlib.import_module("opentelemetry.sdk.trace")
        export = importlib.import_module("opentelemetry.sdk.trace.export")
        sampling = importlib.import_module("opentelemetry.sdk.trace.sampling")
        resources = importlib.import_module("opentelemetry.sdk.resources")
        otlp = importlib.import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
        celery = importlib.import_module("opentelemetry.instrumentation.celery")
        django = importlib.import_module("opentelemetry.instrumentation.django")
    except ImportError as error:
        raise ImproperlyConfigured(
            f"OTEL_EXPORTER_OTLP_ENDPOINT is set and {error.name} is missing: pip install -r requirements-otel.txt"
        ) from None
    resource = resources.Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME", "orderengine")})
    sampler = sampling.ParentBased(sampling.TraceIdRatioBased(sample_rate))
    provider = sdk.TracerProvider(resource=resource, sampler=sampler)
    provider.add_span_processor(export.BatchSpanProcessor(otlp.OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    celery.CeleryInstrumentor().instrument()
    django.DjangoInstrumentor().instrument(is_sql_commentor_enabled=False)
