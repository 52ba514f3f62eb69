"""Collects everything on the dashboard, for both the admin's index and `GET /api/v1/dashboard/`.

It runs a fixed number of queries, none over the history: open alerts come from a partial index.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Case, Count, Max, Min, Q, Value, When
from django.utils import timezone

from alerts.models import Alert, Silence, State
from monitoring.checks.models import GRACE
from monitoring.errors.summary import ErrorSummary, error_summary
from monitoring.models import Check, Panel, ServiceStatus, Status
from monitoring.status_parts import Part, combine
from portal.core.models import Service, Upstream, UpstreamKind
from portal.sight import Sight, Source, sight_of, source_of
from security.flags import ALERT_SCORE
from security.models import Flag

NEWEST_ALERTS = 8
WORST_SERVICES = 8
# Most urgent first; other severities that a team uses follow by name.
SEVERITIES = ("page", "emergency", "critical", "error", "high", "major", "warning", "info", "none")


@dataclass(frozen=True, slots=True)
class SeverityCount:
    """Open alerts of one severity, which is empty when the rule sets none."""

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
class FlagCount:
    """Open flags of the detection rules; `worst` is the highest score, 0 if there are none."""

    open: int
    high: int
    worst: int


@dataclass(frozen=True, slots=True)
class TroubledService:
    """A service that, as far as is known now, is not up."""

    service: Service
    status: str
    label: str
    reason: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Dashboard:
    """All values of the dashboard. `alerts_sight` says whether the numbers of alerts can be trusted."""

    at: datetime
    upstreams: tuple[Source, ...]
    alerts_sight: Sight
    services_sight: Sight
    severities: tuple[SeverityCount, ...]
    newest: tuple[Alert, ...]
    active_silences: int
    statuses: tuple[StatusCount, ...]
    troubled: tuple[TroubledService, ...]
    services_without_status: int
    errors_sight: Sight
    errors: ErrorSummary
    flags: FlagCount
    panels: tuple[Panel, ...]

    @property
    def firing(self) -> int:
        return sum(count.firing for count in self.severities)

    @property
    def alarming(self) -> int:
        """Firing alerts without those of severity "none", which always fire to show that alerts arrive."""
        return sum(count.firing for count in self.severities if count.severity.lower() != "none")

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
        services_sight=_services_sight(sources, now),
        severities=_severities(),
        newest=_newest(),
        active_silences=Silence.objects.active(at=now).count(),
        statuses=_statuses(seeing, now),
        troubled=_troubled(now),
        services_without_status=Service.objects.filter(status__isnull=True).count(),
        errors_sight=sight_of(UpstreamKind.SENTRY, sources),
        errors=error_summary(at=now),
        flags=_flags(),
        panels=tuple(Panel.objects.filter(on_dashboard=True)),
    )


def _flags() -> FlagCount:
    found = Flag.objects.open().aggregate(
        open=Count("id"), high=Count("id", filter=Q(score__gte=ALERT_SCORE)), worst=Max("score")
    )
    return FlagCount(found["open"], found["high"], found["worst"] or 0)


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

    firing() implies open(), but open() repeats the condition of the partial index, so that the planner
    sorts the open alerts instead of scanning back through the history.
    """
    found = Alert.objects.open().firing().select_related("service", "upstream")
    return tuple(found.order_by("-starts_at", "-id")[:NEWEST_ALERTS])


def _statuses(seeing: frozenset[int], at: datetime) -> tuple[StatusCount, ...]:
    """Count services by status; a part without current data counts as unknown, whatever it was."""
    fresh = Q(checks_fresh_until__isnull=True) | Q(checks_fresh_until__gte=at)
    stored = ServiceStatus.objects.order_by().annotate(
        checks_seen=Case(When(fresh, then=Value(True)), default=Value(False))
    )
    groups = stored.values_list("targets_status", "upstream_id", "checks_status", "checks_seen")
    counted: Counter[str] = Counter()
    for targets, upstream_id, checks, checks_seen, number in groups.annotate(Count("pk")):
        by_targets = targets if not targets or upstream_id in seeing else Status.UNKNOWN
        by_checks = checks if not checks or checks_seen else Status.UNKNOWN
        counted[combine([Part(by_targets), Part(by_checks)])[0]] += number
    order = (Status.DOWN, Status.DEGRADED, Status.UNKNOWN, Status.UP)
    return tuple(StatusCount(s.value, s.label, counted[s.value]) for s in order)


def _services_sight(sources: tuple[Source, ...], at: datetime) -> Sight:
    """Return whether the state of services is visible: through Prometheus, checks, or both."""
    late = Q(next_run_at__lt=at - GRACE)
    found = Check.objects.enabled().aggregate(
        all=Count("pk"), late=Count("pk", filter=late), since=Min("next_run_at", filter=late)
    )
    by_targets = sight_of(UpstreamKind.PROMETHEUS, sources)
    if not found["all"]:
        return by_targets
    if found["late"]:
        said = f"{found['late']} checks have not run since {found['since']:%H:%M:%S} UTC."
        said += " Check that worker and beat are running."
        return Sight("blind" if by_targets.is_blind else "partial", said)
    if any(source.kind == UpstreamKind.PROMETHEUS for source in sources) and by_targets.is_blind:
        return Sight("partial", f"Only checks provide service states now. {by_targets.sentence}")
    return Sight("clear") if by_targets.is_blind else by_targets


def _troubled(at: datetime) -> tuple[TroubledService, ...]:
    """Return services whose last known state is not up: down, then degraded, then unknown, newest first."""
    urgency = Case(
        When(status=Status.DOWN, then=0), When(status=Status.DEGRADED, then=1), default=2
    )
    rows = ServiceStatus.objects.exclude(status=Status.UP).select_related("service", "upstream")
    found = []
    for row in rows.order_by(urgency, "-since")[:WORST_SERVICES]:
        status, reason = row.shown(at=at)
        label = Status(status).label
        found.append(TroubledService(row.service, status, label, reason or row.reason, row.since))
    return tuple(found)
