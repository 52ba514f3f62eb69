"""Everything on the dashboard as one value: the admin's index and `GET /api/v1/dashboard/` show the same.

A fixed number of queries, none over the history: open alerts come from a partial index.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

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
class Trouble:
    """A service that is not up, as far as that can be known now."""

    service: Service
    status: str
    label: str
    reason: str
    since: datetime


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
    troubled: tuple[Trouble, ...]
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
    seeing = frozenset(source.id for source in sources if source.is_seeing)
    return Dashboard(
        at=now,
        upstreams=sources,
        alerts_sight=sight_of(UpstreamKind.ALERTMANAGER, sources),
        services_sight=sight_of(UpstreamKind.PROMETHEUS, sources),
        severities=_severities(),
        newest=_newest(),
        active_silences=Silence.objects.active(at=now).count(),
        statuses=_statuses(seeing),
        troubled=_troubled(now),
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


def _statuses(seeing: frozenset[int]) -> tuple[StatusCount, ...]:
    """Count services by status; one whose Prometheus does not answer now is unknown, whatever it was."""
    stored = ServiceStatus.objects.order_by().values_list("status", "upstream_id")
    counted: Counter[str] = Counter()
    for status, upstream_id, number in stored.annotate(Count("pk")):
        counted[status if upstream_id in seeing else Status.UNKNOWN] += number
    order = (Status.DOWN, Status.DEGRADED, Status.UNKNOWN, Status.UP)
    return tuple(StatusCount(s.value, s.label, counted[s.value]) for s in order)


def _troubled(at: datetime) -> tuple[Trouble, ...]:
    """Return services that were last seen not up: down before degraded before unknown, newest first."""
    urgency = Case(
        When(status=Status.DOWN, then=0), When(status=Status.DEGRADED, then=1), default=2
    )
    rows = ServiceStatus.objects.exclude(status=Status.UP).select_related("service", "upstream")
    found = []
    for row in rows.order_by(urgency, "-since")[:WORST_SERVICES]:
        status, reason = row.shown(at=at)
        label = Status(status).label
        found.append(Trouble(row.service, status, label, reason or row.reason, row.since))
    return tuple(found)
