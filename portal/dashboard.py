"""Everything on the dashboard as one value: the admin's index and `GET /api/v1/dashboard/` show the same.

A fixed number of queries, none over the history: open alerts come from a partial index.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Case, Count, Q, When
from django.utils import timezone

from alerts.models import Alert, Silence, State
from monitoring.models import Panel, ServiceStatus, Status
from portal.core.models import Service, Upstream, UpstreamKind
from portal.sight import Sight, Source, sight_of, source_of

NEWEST_ALERTS = 8
WORST_SERVICES = 8
# Most urgent first; whatever else a team uses comes after these, by name.
SEVERITIES = ("page", "emergency", "critical", "error", "high", "major", "warning", "info", "none")


@dataclass(frozen=True, slots=True)
class SeverityCount:
    """Open alerts of one severity. An empty severity is one that the rule does not set."""

    severity: str
    firing: int
    suppressed: int
    unacknowledged: int


@dataclass(frozen=True, slots=True)
class StatusCount:
    status: str
    label: str
    count: int


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One look at everything. `alerts_sight` says whether the alert numbers can be trusted."""

    at: datetime
    upstreams: tuple[Source, ...]
    alerts_sight: Sight
    services_sight: Sight
    severities: tuple[SeverityCount, ...]
    newest: tuple[Alert, ...]
    active_silences: int
    statuses: tuple[StatusCount, ...]
    troubled: tuple[ServiceStatus, ...]
    services_without_status: int
    panels: tuple[Panel, ...]

    @property
    def firing(self) -> int:
        return sum(count.firing for count in self.severities)

    @property
    def suppressed(self) -> int:
        return sum(count.suppressed for count in self.severities)

    @property
    def unacknowledged(self) -> int:
        return sum(count.unacknowledged for count in self.severities)

    @property
    def seeing(self) -> int:
        return sum(source.is_seeing for source in self.upstreams)

    @property
    def services(self) -> int:
        return sum(count.count for count in self.statuses)


def dashboard(*, at: datetime | None = None) -> Dashboard:
    """Return the state of everything at `at` (default: now)."""
    now = at or timezone.now()
    sources = tuple(source_of(row, at=now) for row in Upstream.objects.enabled())
    statuses = _statuses()
    return Dashboard(
        at=now,
        upstreams=sources,
        alerts_sight=sight_of(UpstreamKind.ALERTMANAGER, sources),
        services_sight=sight_of(UpstreamKind.PROMETHEUS, sources),
        severities=_severities(),
        newest=_newest(),
        active_silences=Silence.objects.active(at=now).count(),
        statuses=statuses,
        troubled=_troubled(),
        services_without_status=Service.objects.filter(status__isnull=True).count(),
        panels=tuple(Panel.objects.filter(on_dashboard=True)),
    )


def severity_rank(severity: str) -> tuple[int, str]:
    known = severity.lower()
    return (SEVERITIES.index(known) if known in SEVERITIES else len(SEVERITIES), severity)


def _severities() -> tuple[SeverityCount, ...]:
    rows = (
        Alert.objects.open()
        .order_by()
        .values("severity")
        .annotate(
            firing=Count("id", filter=Q(state=State.FIRING)),
            suppressed=Count("id", filter=Q(state=State.SUPPRESSED)),
            unacknowledged=Count("id", filter=Q(state=State.FIRING, acknowledged_at__isnull=True)),
        )
    )
    counts = (SeverityCount(**row) for row in rows)
    return tuple(sorted(counts, key=lambda count: severity_rank(count.severity)))


def _newest() -> tuple[Alert, ...]:
    """Return the newest firing alerts.

    open() repeats what firing() implies in the words of the partial index, so that the planner
    sorts the open alerts instead of walking back through the history.
    """
    found = Alert.objects.open().firing().select_related("service", "upstream")
    return tuple(found.order_by("-starts_at", "-id")[:NEWEST_ALERTS])


def _statuses() -> tuple[StatusCount, ...]:
    counted: dict[str, Any] = dict(
        ServiceStatus.objects.order_by().values_list("status").annotate(Count("pk"))
    )
    order = (Status.DOWN, Status.DEGRADED, Status.UNKNOWN, Status.UP)
    return tuple(StatusCount(s.value, s.label, counted.get(s.value, 0)) for s in order)


def _troubled() -> tuple[ServiceStatus, ...]:
    """Return services that are not up, down before degraded before unknown, newest first."""
    urgency = Case(
        When(status=Status.DOWN, then=0), When(status=Status.DEGRADED, then=1), default=2
    )
    rows = ServiceStatus.objects.exclude(status=Status.UP).select_related("service", "upstream")
    return tuple(rows.order_by(urgency, "-since")[:WORST_SERVICES])
