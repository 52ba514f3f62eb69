"""Reads the portal's gauges with a constant number of SQL statements, and builds metric families from them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Count, Min
from prometheus_client.core import GaugeMetricFamily, Metric

from alerts.models import Alert, HookDelivery
from monitoring.models import Check, ServiceStatus, Status
from portal import gauges_notifications, gauges_siem
from portal.core.models import Freshness, Upstream
from security import detection
from security.models import Block, Flag

CONNECTIONS_SQL = """
    SELECT coalesce(state, 'other'), count(*) FROM pg_stat_activity
    WHERE backend_type = 'client backend' GROUP BY 1
"""
DATABASE_SQL = """
    SELECT pg_database_size(current_database()), current_setting('max_connections')::int
"""


@dataclass(frozen=True, slots=True)
class Rows:
    """The values read at one moment."""

    at: datetime
    upstreams: list[Upstream]
    alerts: list[tuple[str, str, int]]
    waiting: int
    oldest_waiting: datetime | None
    checks: list[tuple[str, str, str, float | None]]
    checks_overdue: int
    services: list[tuple[str, str]]
    connections: list[tuple[str, int]]
    flags: list[tuple[str, int]]
    blocks: list[tuple[str, int]]
    detector_lag: float
    database_bytes: int
    connections_max: int
    notifications: gauges_notifications.Rows
    siem: gauges_siem.Rows


def read(*, at: datetime) -> Rows:
    """Run a fixed number of statements. Raises DatabaseError."""
    queue = HookDelivery.objects.filter(processed_at__isnull=True).aggregate(
        count=Count("id"), oldest=Min("received_at")
    )
    with connection.cursor() as cursor:
        cursor.execute(CONNECTIONS_SQL)
        connections = [(str(state), int(count)) for state, count in cursor.fetchall()]
        cursor.execute(DATABASE_SQL)
        size, most = cursor.fetchone()
    open_alerts = (
        Alert.objects.open().values_list("state", "severity").annotate(count=Count("id")).order_by()
    )
    return Rows(
        at=at,
        upstreams=list(Upstream.objects.enabled()),
        alerts=[(state, severity, count) for state, severity, count in open_alerts],
        waiting=queue["count"],
        oldest_waiting=queue["oldest"],
        checks=list(
            Check.objects.enabled().values_list(
                "service__slug", "name", "status", "latency_seconds"
            )
        ),
        checks_overdue=Check.objects.overdue(at=at).count(),
        services=list(ServiceStatus.objects.values_list("service__slug", "status")),
        flags=list(Flag.objects.open().order_by().values_list("rule").annotate(count=Count("id"))),
        blocks=list(
            Block.objects.active(at=at).order_by().values_list("origin").annotate(count=Count("id"))
        ),
        detector_lag=detection.lag_seconds(),
        connections=connections,
        database_bytes=int(size),
        connections_max=int(most),
        notifications=gauges_notifications.read(),
        siem=gauges_siem.read(at=at),
    )


def families(rows: Rows) -> Iterator[Metric]:
    yield from _of_upstreams(rows)
    yield _labelled(
        "portal_alerts", "Open alert episodes.", ["state", "severity"],
        [([state, severity], count) for state, severity, count in rows.alerts],
    )  # fmt: skip
    yield _single(
        "portal_hook_deliveries_waiting", "Received webhooks not yet processed.", rows.waiting
    )
    oldest = (rows.at - rows.oldest_waiting).total_seconds() if rows.oldest_waiting else 0
    yield _single(
        "portal_hook_deliveries_oldest_age_seconds",
        "Age of the oldest webhook not yet processed; 0 when none is waiting.",
        max(0.0, oldest),
    )
    yield from gauges_notifications.families(rows.notifications, at=rows.at)
    yield _labelled(
        "portal_service_status", "1 for the current status of a service, 0 for the others.", ["service", "status"],
        [([slug, known], float(known == status)) for slug, status in rows.services for known in Status.values],
    )  # fmt: skip
    yield from _of_checks(rows)
    yield from _of_security(rows)
    yield from gauges_siem.families(rows.siem)
    yield _single(
        "portal_database_size_bytes", "Size of the portal's database.", rows.database_bytes
    )
    yield _labelled(
        "portal_database_connections", "Connections of all programs to the database server.", ["state"],
        [([state], count) for state, count in rows.connections],
    )  # fmt: skip
    yield _single(
        "portal_database_connections_max", "Maximum number of connections the server allows.", rows.connections_max
    )  # fmt: skip


def _of_checks(rows: Rows) -> Iterator[Metric]:
    yield _labelled(
        "portal_check_up", "1 while a check is up or degraded; one that is unknown has no value.",
        ["service", "check"],
        [([slug, name], float(status != Status.DOWN)) for slug, name, status, _ in rows.checks
         if status != Status.UNKNOWN],
    )  # fmt: skip
    yield _labelled(
        "portal_check_duration_seconds", "Duration of the last run.", ["service", "check"],
        [([slug, name], taken) for slug, name, _, taken in rows.checks if taken is not None],
    )  # fmt: skip
    yield _single(
        "portal_checks_overdue", "Checks more than a minute overdue.", rows.checks_overdue
    )


def _of_security(rows: Rows) -> Iterator[Metric]:
    yield _labelled(
        "portal_flags_open", "Open flags, by rule.", ["rule"],
        [([rule], count) for rule, count in rows.flags],
    )  # fmt: skip
    yield _labelled(
        "portal_blocks_active", "Blocks currently enforced.", ["origin"],
        [([origin], count) for origin, count in rows.blocks],
    )  # fmt: skip
    yield _single(
        "portal_detector_lag_seconds",
        "Age of the oldest audit entry that the rules have not read; 0 when they have read all.",
        rows.detector_lag,
    )


def _of_upstreams(rows: Rows) -> Iterator[Metric]:
    """Yield the metrics of each enabled upstream; one that was never polled has no values."""
    polled = [row for row in rows.upstreams if row.attempted_at is not None]
    labels = ["upstream", "kind"]
    reachable = (Freshness.LIVE,)
    yield _labelled(
        "portal_upstream_up", "1 when the last poll succeeded and is not overdue.", labels,
        [(_of(u), float(u.freshness(at=rows.at) in reachable)) for u in polled],
    )  # fmt: skip
    yield _labelled(
        "portal_upstream_freshness_seconds", "Time since the last successful poll.", labels,
        [(_of(u), max(0.0, (rows.at - u.succeeded_at).total_seconds())) for u in polled if u.succeeded_at],
    )  # fmt: skip
    yield _labelled(
        "portal_upstream_poll_duration_seconds", "Duration of the last poll.", labels,
        [(_of(u), u.duration_seconds) for u in polled if u.duration_seconds is not None],
    )  # fmt: skip
    failing = [(u, u.error_since or rows.at) for u in polled]
    yield _labelled(
        "portal_upstream_failing_seconds", "How long polls have been failing; 0 while they succeed.", labels,
        [(_of(u), max(0.0, (rows.at - since).total_seconds())) for u, since in failing],
    )  # fmt: skip


def _of(upstream: Upstream) -> list[str]:
    return [upstream.name, upstream.kind]


def _single(name: str, help_text: str, value: float) -> Metric:
    family = GaugeMetricFamily(name, help_text)
    family.add_metric([], value)
    return family


def _labelled(
    name: str, help_text: str, labels: list[str], values: list[tuple[list[str], Any]]
) -> Metric:
    family = GaugeMetricFamily(name, help_text, labels=labels)
    for given, value in values:
        family.add_metric(given, value)
    return family
