"""Traces by OpenTelemetry, where OTEL_EXPORTER_OTLP_ENDPOINT names a collector; else none of it is
loaded. What leaves is an allowlist: routes, methods, states and durations, never a value."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings

# Addresses hold opaque ids and searches, events hold texts of errors: neither is on the list.
_MAY_LEAVE = {
    "http.method",
    "http.route",
    "http.status_code",
    "celery.action",
    "celery.state",
    "celery.task_name",
    "messaging.destination",
    "messaging.message_id",
}


def start(service: str) -> None:
    """Trace this process from here on: a web process before its first request, a worker's child."""
    if not settings.TRACES_ENDPOINT:
        return
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.celery import CeleryInstrumentor
    from opentelemetry.instrumentation.django import DjangoInstrumentor
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.trace import Status

    class DiscreetExporter(OTLPSpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> Any:
            return super().export([_discreet(span) for span in spans])

    def _discreet(span: ReadableSpan) -> ReadableSpan:
        return ReadableSpan(
            name=span.name,
            context=span.context,
            parent=span.parent,
            resource=span.resource,
            attributes={k: v for k, v in (span.attributes or {}).items() if k in _MAY_LEAVE},
            kind=span.kind,
            status=Status(span.status.status_code),
            start_time=span.start_time,
            end_time=span.end_time,
            instrumentation_scope=span.instrumentation_scope,
        )

    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(BatchSpanProcessor(DiscreetExporter()))
    trace.set_tracer_provider(provider)
    DjangoInstrumentor().instrument(excluded_urls="healthz,readyz,metrics")
    CeleryInstrumentor().instrument()
