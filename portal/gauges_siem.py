"""Reads the gauges of SIEM forwarding with one statement: how far behind each destination is, and which fail."""

from collections.abc import Iterator
from datetime import datetime

from prometheus_client.core import GaugeMetricFamily, Metric

from security.models import SiemDestination

Rows = list[tuple[str, float, bool]]


def read(*, at: datetime) -> Rows:
    """Return name, lag and whether it works, for each enabled destination."""
    rows = SiemDestination.objects.filter(enabled=True).with_oldest_waiting().order_by("name")
    return [(row.name, row.lag_seconds(at=at), not row.failures) for row in rows]


def families(rows: Rows) -> Iterator[Metric]:
    lag = GaugeMetricFamily(
        "portal_siem_lag_seconds",
        "Age of the oldest audit entry that a SIEM destination has not received; 0 when it has received all.",
        labels=["destination"],
    )
    up = GaugeMetricFamily(
        "portal_siem_up", "1 while a SIEM destination accepts entries.", labels=["destination"]
    )
    for name, seconds, works in rows:
        lag.add_metric([name], seconds)
        up.add_metric([name], float(works))
    yield from (lag, up)
