"""Defines which metrics report requests by route, and how to query them (pure)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
CURVE_POINTS = 30


@dataclass(frozen=True, slots=True)
class Profile:
    """One family of metrics: `count` and `bucket` are series names, the others are label names.

    `errors` selects failed requests; `scale` turns the histogram's unit into seconds.
    """

    title: str
    count: str
    bucket: str
    service: str
    route: str
    method: str
    errors: str
    present: str
    where: str = ""
    scale: float = 1.0

    def series(self, name: str, *more: str) -> str:
        chosen = ",".join(part for part in (self.where, *more) if part)
        return f"{name}{{{chosen}}}"

    @property
    def labels(self) -> str:
        return ", ".join(filter(None, (self.service, self.route, self.method)))


def _plain() -> Iterator[Profile]:
    """Yield the variants of `http_request_duration_seconds` that client libraries use."""
    for route, status in (
        ("route", "status_code"), ("route", "status"), ("route", "code"),
        ("path", "status_code"), ("path", "status"), ("path", "code"), ("handler", "code"),
    ):  # fmt: skip
        name = "http_request_duration_seconds"
        yield Profile(
            title=f"{name} by {route}",
            count=f"{name}_count",
            bucket=f"{name}_bucket",
            service="job",
            route=route,
            method="method",
            errors=f'{status}=~"5..|5xx"',
            present=f'{name}_count{{{route}!="",{status}!=""}}',
            where=f'{route}!="",{status}!=""',
        )


def _spans() -> Iterator[Profile]:
    """Yield the span metrics of the OpenTelemetry Collector, with and without its namespace, and of Tempo."""
    collector = ("service_name", "http_request_method")
    for count, duration, scale, (service, method) in (
        ("traces_span_metrics_calls", "traces_span_metrics_duration_seconds", 1.0, collector),
        (
            "traces_span_metrics_calls",
            "traces_span_metrics_duration_milliseconds",
            0.001,
            collector,
        ),
        ("calls", "duration_seconds", 1.0, collector),
        ("calls", "duration_milliseconds", 0.001, collector),
        ("traces_spanmetrics_calls", "traces_spanmetrics_latency", 1.0, ("service", "http_method")),
    ):
        where = 'span_kind="SPAN_KIND_SERVER"'
        yield Profile(
            title=f"span metrics {duration}",
            count=f"{count}_total",
            bucket=f"{duration}_bucket",
            service=service,
            route="span_name",
            method=method,
            errors='status_code="STATUS_CODE_ERROR"',
            present=f"{duration}_count{{{where}}}",
            where=where,
            scale=scale,
        )


PROFILES: tuple[Profile, ...] = (
    Profile(
        title="django-prometheus",
        count="django_http_responses_total_by_status_view_method_total",
        bucket="django_http_requests_latency_seconds_by_view_method_bucket",
        service="job",
        route="view",
        method="method",
        errors='status=~"5.."',
        present="django_http_responses_total_by_status_view_method_total",
    ),
    Profile(
        title="OpenTelemetry metrics",
        count="http_server_request_duration_seconds_count",
        bucket="http_server_request_duration_seconds_bucket",
        service="job",
        route="http_route",
        method="http_request_method",
        errors='http_response_status_code=~"5.."',
        present='http_server_request_duration_seconds_count{http_route!=""}',
        where='http_route!=""',
    ),
    *_plain(),
    *_spans(),
)


def detection(profiles: Sequence[Profile] = PROFILES) -> str:
    """Return an expression with one series for each family that exists, named by the label `profile`."""
    return " or ".join(
        f'label_replace(count({profile.present}), "profile", "{number}", "", "")'
        for number, profile in enumerate(profiles)
    )


def queries(profile: Profile, window: int) -> dict[str, str]:
    """Return the instant queries for a window of `window` seconds, keyed by the value they return."""
    by = f"sum by ({profile.labels})"
    count, failed = profile.series(profile.count), profile.series(profile.count, profile.errors)
    buckets = profile.series(profile.bucket)
    found = {
        "requests": f"{by} (increase({count}[{window}s]))",
        "before": f"{by} (increase({count}[{window}s] offset {window}s))",
        "errors": f"{by} (increase({failed}[{window}s]))",
    }
    for name, quantile in QUANTILES.items():
        summed = f"sum by (le, {profile.labels}) (rate({buckets}[{window}s]))"
        found[name] = f"histogram_quantile({quantile}, {summed})"
    return found


def curve(profile: Profile, window: int) -> tuple[str, int]:
    """Return the range query for requests per second, and its step in seconds."""
    step = max(window // CURVE_POINTS, 15)
    count = profile.series(profile.count)
    return f"sum by ({profile.labels}) (rate({count}[{max(4 * step, 60)}s]))", step
