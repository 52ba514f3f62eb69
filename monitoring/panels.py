"""Collects the data of a chart: the curve from Prometheus, alert episodes from the database, and errors.

A failing upstream is part of the result (`error`), not an exception: the chart says why it is empty.
"""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from django.core.cache import cache
from django.utils import timezone
from redis.exceptions import RedisError

from monitoring.charts import ChartError, Columns, Series, Window, columns, expand, window
from monitoring.deploys import Mark, marks
from monitoring.episodes import Episode, episodes
from monitoring.grafana import DATASOURCE, explore_url
from monitoring.models import Panel
from monitoring.prometheus import CHART_TIMEOUT_SECONDS, Prometheus
from portal.core.http import UpstreamError
from portal.core.models import Freshness, Upstream, UpstreamKind

log = logging.getLogger(__name__)
CACHE_SECONDS = 5
# In characters. Charts of twenty series need a tenth; an expression with too many series would fill Redis.
MOST_CACHED = 2_000_000
# An upstream that failed its last poll may block a web thread only for a shorter time.
DOUBTFUL_TIMEOUT_SECONDS = 4.0
NO_PROMETHEUS = "No Prometheus is connected, so there is no data to draw. Add one under Upstreams."


@dataclass(frozen=True, slots=True)
class PanelData:
    """One chart, ready to draw. Times are Unix seconds; `data` is [times, values of each series …]."""

    start: int
    end: int
    step: int
    unit: str
    data: list[Sequence[float | None]]
    series: tuple[Series, ...] = ()
    episodes: tuple[Episode, ...] = ()
    deploys: tuple[Mark, ...] = ()
    thresholds: Mapping[str, float | None] = field(default_factory=dict)
    note: str = ""
    error: str = ""
    upstream: str = ""
    freshness: str = Freshness.NEVER
    grafana_url: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def panel_data(
    panel: Panel, *, start: float, end: float, step: int | None = None, at: datetime | None = None
) -> PanelData:
    """Return the chart of `panel` between two Unix times. Raises ChartError for an invalid range.

    `panel` need not be saved: the form's preview passes an unsaved one.
    """
    now = at or timezone.now()
    grid = window(start, end, step)
    upstream = panel.upstream or default_prometheus()
    drawn, error = Columns(grid.times), NO_PROMETHEUS
    if upstream is not None:
        drawn, error = _curve(upstream, panel.promql, panel.legend, grid)
    return PanelData(
        start=grid.start,
        end=grid.end,
        step=grid.step,
        unit=panel.unit,
        data=[drawn.times, *drawn.values],
        series=drawn.series,
        episodes=episodes(panel.alert_matchers, start=grid.start, end=grid.end),
        deploys=marks(start=grid.start, end=max(end, grid.end)),
        thresholds={"warning": panel.warning_above, "critical": panel.critical_above},
        note=drawn.note,
        error=error,
        upstream=upstream.name if upstream else "",
        freshness=upstream.freshness(at=now).value if upstream else Freshness.NEVER.value,
        grafana_url=_grafana_url(panel, upstream, grid),
    )


def _grafana_url(panel: Panel, upstream: Upstream | None, grid: Window) -> str:
    if upstream is None:
        return ""
    source = str(upstream.option("grafana_datasource", DATASOURCE))
    return explore_url(panel.promql, start=grid.start, end=grid.end, datasource=source)


def default_prometheus() -> Upstream | None:
    return Upstream.objects.enabled().filter(kind=UpstreamKind.PROMETHEUS).order_by("id").first()


def check_promql(promql: str, upstream: Upstream | None = None) -> str:
    """Let Prometheus check `promql`; return its error message, or an empty string.

    An unreachable upstream reports no error, so that a chart can be created before the server runs.
    """
    prometheus = upstream or default_prometheus()
    if prometheus is None:
        return ""
    try:
        with Prometheus(prometheus, timeout_seconds=DOUBTFUL_TIMEOUT_SECONDS) as server:
            server.query(expand(promql, 60))
    except UpstreamError as error:
        return "" if error.retryable or error.status not in (400, 422) else str(error)
    return ""


def _curve(upstream: Upstream, promql: str, legend: str, grid: Window) -> tuple[Columns, str]:
    if not upstream.enabled:
        return Columns(grid.times), f"The upstream {upstream.name} is disabled. Enable it to draw."
    answer = _answer(upstream, expand(promql, grid.step), grid)
    if isinstance(answer, str):
        return Columns(grid.times), answer
    try:
        return columns(answer, grid, legend=legend), ""
    except ChartError as error:
        return Columns(grid.times), str(error)


def _answer(upstream: Upstream, promql: str, grid: Window) -> Any:
    """Return the query's `data`, or an error message. Both are cached for a few seconds for other viewers."""
    key = _key(upstream, promql, grid)
    if (known := _from_cache(key)) is not None:
        return json.loads(known)
    timeout = DOUBTFUL_TIMEOUT_SECONDS if upstream.error else CHART_TIMEOUT_SECONDS
    try:
        with Prometheus(upstream, timeout_seconds=timeout) as prometheus:
            answer = prometheus.query_range(promql, start=grid.start, end=grid.end, step=grid.step)
    except UpstreamError as error:
        answer = str(error)
    _to_cache(key, json.dumps(answer))
    return answer


def _key(upstream: Upstream, promql: str, grid: Window) -> str:
    asked = f"{upstream.pk}|{upstream.url}|{promql}|{grid.start}|{grid.end}|{grid.step}"
    return "chart:" + hashlib.sha256(asked.encode("utf-8", "replace")).hexdigest()


def _from_cache(key: str) -> str | None:
    try:
        known: str | None = cache.get(key)
    except (RedisError, OSError):
        return None  # without Redis charts still work, but are not cached
    return known


def _to_cache(key: str, value: str) -> None:
    if len(value) > MOST_CACHED:
        return
    try:
        cache.set(key, value, CACHE_SECONDS)
    except (RedisError, OSError) as error:
        log.warning("A chart could not be cached: %s", error)
