"""Queries Prometheus for the traffic of a window: first which metrics exist, then their values."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings

from monitoring.checks.samples import SampleError, samples
from monitoring.panels import DOUBTFUL_TIMEOUT_SECONDS, NO_PROMETHEUS, default_prometheus
from monitoring.prometheus import CHART_TIMEOUT_SECONDS, Prometheus
from monitoring.traffic import consumers
from monitoring.traffic.profiles import PROFILES, Profile, curve, detection, queries
from monitoring.traffic.rows import Key, RouteRow, merge, top
from portal.core.catalogue import Catalogue
from portal.core.models import Service, Upstream
from portal.core.upstream_errors import UpstreamError

WINDOWS: dict[str, int] = {"15m": 900, "1h": 3600, "6h": 21_600, "24h": 86_400, "7d": 604_800}
DEFAULT_WINDOW = "1h"
BY_ROUTE, BY_CONSUMER = "routes", "consumers"
NOBODY = (
    "No metric identifies consumers yet. The portal's own metric appears after its second scrape. Other services"
    " need request metrics with one of the labels in TRAFFIC_CONSUMER_LABELS."
)
NOTHING = (
    "No service exposes request metrics yet. The portal's own appear after its second scrape;"
    " docs/traces.md lists the metrics that are understood."
)


@dataclass(frozen=True, slots=True)
class Report:
    """The routes of a window; `error` says why there are none, `note` what is missing."""

    window: str
    rows: list[RouteRow] = field(default_factory=list)
    sources: tuple[str, ...] = ()
    error: str = ""
    note: str = ""

    @property
    def requests(self) -> float:
        return sum(row.requests for row in self.rows)

    @property
    def error_ratio(self) -> float:
        return sum(row.errors for row in self.rows) / self.requests if self.requests else 0.0

    @property
    def slowest(self) -> RouteRow | None:
        known = [row for row in self.rows if row.p95 is not None]
        return max(known, key=lambda row: row.p95 or 0.0) if known else None


def report(
    *,
    window: str = DEFAULT_WINDOW,
    service: str = "",
    order: str = "requests",
    upstream: Upstream | None = None,
    curves: bool = True,
    by: str = BY_ROUTE,
) -> Report:
    """Return the traffic of `window` (a key of WINDOWS), of one service's slug or of all.

    With `by` consumer, the route of a row is the name of the consumer.
    """
    server = upstream or default_prometheus()
    if server is None:
        return Report(window, error=NO_PROMETHEUS)
    timeout = DOUBTFUL_TIMEOUT_SECONDS if server.error else CHART_TIMEOUT_SECONDS
    try:
        with Prometheus(server, timeout_seconds=timeout) as prometheus:
            profiles = _existing(prometheus, PROFILES)
            if by == BY_CONSUMER:
                named = consumers.candidates(profiles, settings.TRAFFIC_CONSUMER_LABELS)
                profiles = _existing(prometheus, named)
            add = consumers.added if by == BY_CONSUMER else _first_wins
            found = _ask(prometheus, profiles, WINDOWS[window], curves=curves, add=add)
    except UpstreamError as error:
        return Report(window, error=str(error))
    rows = _named(found.values())
    if service:
        rows = [row for row in rows if service in (row.service_slug, row.service)]
    note = "" if profiles else NOBODY if by == BY_CONSUMER else NOTHING
    return Report(window, top(rows, order), tuple(p.title for p in profiles), note=note)


def _existing(prometheus: Prometheus, profiles: Sequence[Profile]) -> list[Profile]:
    try:
        found = samples(prometheus.query(detection(profiles)))
    except SampleError:
        return []
    named = {sample.labels.get("profile") for sample in found}
    return [profile for number, profile in enumerate(profiles) if str(number) in named]


Rows = dict[Key, RouteRow]


def _first_wins(rows: Rows, more: Rows) -> Rows:
    """Merge rows of families that share a counter; those with latencies from a histogram take precedence."""
    better = {
        key: row
        for key, row in more.items()
        if key not in rows or (rows[key].p95 is None and row.p95 is not None)
    }
    return {**rows, **better}


def _ask(
    prometheus: Prometheus,
    profiles: list[Profile],
    window: int,
    *,
    curves: bool,
    add: Callable[[Rows, Rows], Rows],
) -> Rows:
    """Return the rows of all profiles; traffic that two of them report is shown once."""
    now, rows = time.time(), Rows()
    for profile in profiles:
        asked = queries(profile, window)
        vectors = {name: prometheus.query(promql, time=now) for name, promql in asked.items()}
        matrix: Any = None
        if curves:
            promql, step = curve(profile, window)
            matrix = prometheus.query_range(promql, start=now - window, end=now, step=step)
        rows = add(rows, merge(profile, vectors, matrix))
    return rows


def _named(rows: Any) -> list[RouteRow]:
    """Assign each row to a service of the catalogue, by the labels `job` and `service`."""
    catalogue = Catalogue.load()
    slugs = dict(Service.objects.values_list("pk", "slug"))
    named = list(rows)
    for row in named:
        found = catalogue.service_id({"job": row.service, "service": row.service})
        row.service_slug = slugs.get(found, "") if found else ""
    return named
