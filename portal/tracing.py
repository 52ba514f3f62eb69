"""Traces the portal itself with OpenTelemetry. Imported only when an endpoint is set.

A background thread sends the spans of requests, SQL, Redis, Celery tasks and outgoing HTTP by OTLP
over HTTP. While the collector is unavailable, only the spans are lost.
"""

import atexit
import os
from typing import Any

from django.http import HttpRequest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
from opentelemetry.instrumentation.redis import RedisInstrumentor
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from portal.core import request_context, sanitize

EXPORT_SECONDS = 3
# Machines request these every few seconds; their traces would outnumber all others.
NOT_TRACED = "healthz,readyz,metrics"


def start(endpoint: str, *, release: str, environment: str) -> None:
    """Send spans to `endpoint` (base URL of an OTLP receiver; `/v1/traces` is added)."""
    name = os.environ.get("OTEL_SERVICE_NAME", "devops-portal")
    facts = {
        "service.name": name,
        "service.version": release,
        "deployment.environment.name": environment,
    }
    provider = TracerProvider(resource=Resource.create(facts), shutdown_on_exit=False)
    exporter = OTLPSpanExporter(
        endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_SECONDS
    )
    processor = BatchSpanProcessor(exporter, export_timeout_millis=EXPORT_SECONDS * 1000)
    provider.add_span_processor(processor)
    trace.set_tracer_provider(provider)
    request_context.use_tracer(current_trace_id)
    left_out = os.environ.get("OTEL_PYTHON_DJANGO_EXCLUDED_URLS", NOT_TRACED)
    DjangoInstrumentor().instrument(excluded_urls=left_out, request_hook=_without_secrets)
    for instrumentor in (
        PsycopgInstrumentor(),
        RedisInstrumentor(),
        CeleryInstrumentor(),  # type: ignore[no-untyped-call]
        RequestsInstrumentor(),
    ):
        instrumentor.instrument()
    # The exporter retries for a minute; shutting it down first lets the process end at once.
    atexit.register(_stop, provider, exporter)


def _without_secrets(span: Any, _request: HttpRequest) -> None:
    """Remove one-time links from the URL in a request's span."""
    for name, value in dict(getattr(span, "attributes", None) or {}).items():
        if isinstance(value, str) and (clean := sanitize.without_secrets(value)) != value:
            span.set_attribute(name, clean)


def _stop(provider: TracerProvider, exporter: OTLPSpanExporter) -> None:
    provider.force_flush(timeout_millis=EXPORT_SECONDS * 1000)
    exporter.shutdown()  # type: ignore[no-untyped-call]
    provider.shutdown()


def current_trace_id() -> str:
    """Return the active span's trace id as 32 hexadecimal digits; empty when there is none."""
    context = trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else ""
