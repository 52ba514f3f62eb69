"""Gauges of SIEM forwarding: how far behind each destination is, and which one fails. One statement."""

from collections.abc import Iterator
from datetime import datetime

from django.db import connection
from prometheus_client.core import GaugeMetricFamily, Metric

# What each destination has not had, as security.siem.forwarding.waiting asks for one.
LAGS = """
    SELECT d.name, (
        SELECT e.recorded_at FROM audit_entry e WHERE (e.txid, e.id) > (d.txid::text::xid8, d.entry_id)
        ORDER BY e.txid, e.id LIMIT 1
    ), d.failures = 0
    FROM security_siemdestination d WHERE d.enabled ORDER BY d.name
"""
Rows = list[tuple[str, float, bool]]


def read(*, at: datetime) -> Rows:
    """Return name, lag and whether it works, of each destination that is on."""
    with connection.cursor() as cursor:
        cursor.execute(LAGS)
        found = cursor.fetchall()
    return [
        (name, max(0.0, (at - oldest).total_seconds()) if oldest else 0.0, works)
        for name, oldest, works in found
    ]


def families(rows: Rows) -> Iterator[Metric]:
    lag = GaugeMetricFamily(
        "portal_siem_lag_seconds",
        "Age of the oldest audit entry that a SIEM destination has not had; 0 when it has all.",
        labels=["destination"],
    )
    up = GaugeMetricFamily(
        "portal_siem_up", "1 while a SIEM destination takes what is sent.", labels=["destination"]
    )
    for name, seconds, works in rows:
        lag.add_metric([name], seconds)
        up.add_metric([name], float(works))
    yield from (lag, up)
