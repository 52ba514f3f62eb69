"""Summarises errors, overall or per service, with a fixed number of queries over partial indexes."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Aggregate, Count, Max, Q, Sum
from django.utils import timezone

from monitoring.errors.models import RECENT, ErrorIssue, ErrorTally
from monitoring.errors.reconcile import hour_of
from portal.core.models import Freshness, Upstream, UpstreamKind

FREQUENT = 5
TREND_HOURS = 24


@dataclass(frozen=True, slots=True)
class Bar:
    """Events of one hour, and its height as a share (0 to 100) of the highest."""

    at: datetime
    events: int
    height: int


@dataclass(frozen=True, slots=True)
class ErrorCounts:
    """Unresolved errors, and changes in the last 24 hours.

    `users` is the sum over the issues: a user affected by two of them counts twice. `last_seen_at` is
    the latest event of an unresolved issue.
    """

    unresolved: int = 0
    new: int = 0
    regressed: int = 0
    users: int = 0
    last_seen_at: datetime | None = None
    trend: tuple[Bar, ...] = ()

    @property
    def events(self) -> int:
        return sum(bar.events for bar in self.trend)


@dataclass(frozen=True, slots=True)
class ErrorSummary(ErrorCounts):
    """The counts, and the most frequent issues of the last 24 hours."""

    frequent: tuple[ErrorIssue, ...] = ()


@dataclass(frozen=True, slots=True)
class ServiceErrors(ErrorCounts):
    """The counts of one service; `blind` says why they may be out of date."""

    blind: str = ""


def error_summary(*, at: datetime, service_id: int | None = None) -> ErrorSummary:
    """Return the unresolved errors, and the changes in the last 24 hours."""
    wanted = Q() if service_id is None else Q(service_id=service_id)
    counts = ErrorIssue.objects.unresolved().filter(wanted).order_by().aggregate(**_counts(at))
    seen = ErrorIssue.objects.unresolved().filter(wanted, last_seen_at__gt=at - RECENT)
    frequent = seen.select_related("service", "upstream").order_by("-count", "-id")[:FREQUENT]
    rows = ErrorTally.objects.filter(wanted, hour__gte=_first_hour(at), hour__lte=at).order_by()
    return ErrorSummary(
        **counts,
        trend=_trend(at, dict(rows.values_list("hour").annotate(Sum("events")))),
        frequent=tuple(frequent.defer("raw", "trend")),
    )


def errors_of(service_ids: Collection[int], *, at: datetime) -> dict[int, ServiceErrors]:
    """Return the counts of each of these services, with three queries for any number of them."""
    issues = ErrorIssue.objects.unresolved().filter(service__in=service_ids).order_by()
    wanted = _counts(at)
    rows = issues.values("service").annotate(**wanted).values_list("service", *wanted)
    counts = {row[0]: dict(zip(wanted, row[1:], strict=True)) for row in rows}
    since = _first_hour(at)
    tallies = ErrorTally.objects.filter(service__in=service_ids, hour__gte=since, hour__lte=at)
    hours: dict[int, dict[datetime, int]] = {}
    for pk, hour, events in (
        tallies.order_by().values_list("service", "hour").annotate(Sum("events"))
    ):
        hours.setdefault(pk, {})[hour] = events
    blind = blind_sentence()
    return {
        pk: ServiceErrors(**counts.get(pk, {}), trend=_trend(at, hours.get(pk, {})), blind=blind)
        for pk in service_ids
    }  # fmt: skip


def _counts(at: datetime) -> dict[str, Aggregate]:
    recent = at - RECENT
    return {
        "unresolved": Count("id"),
        "new": Count("id", filter=Q(first_seen_at__gt=recent)),
        "regressed": Count("id", filter=Q(regressed_at__gt=recent)),
        "users": Sum("user_count", filter=Q(last_seen_at__gt=recent), default=0),
        "last_seen_at": Max("last_seen_at"),
    }


def _first_hour(at: datetime) -> datetime:
    return hour_of(at) - timedelta(hours=TREND_HOURS - 1)


def _trend(at: datetime, known: dict[datetime, int]) -> tuple[Bar, ...]:
    hours = [_first_hour(at) + timedelta(hours=n) for n in range(TREND_HOURS)]
    return bars([(hour, known.get(hour, 0)) for hour in hours])


def blind_sentence() -> str:
    """Return why the list may be out of date; empty when every Sentry answered in time."""
    now = timezone.now()
    sources = list(Upstream.objects.enabled().filter(kind=UpstreamKind.SENTRY))
    if not sources:
        return (
            "No Sentry is connected, so no error can be seen. Add an upstream of the kind Sentry."
        )
    blind = [source for source in sources if source.freshness(at=now) != Freshness.LIVE]
    said = [source.error or f"{source.name} has not been polled in time." for source in blind]
    return f"The list may be out of date: {' '.join(said)}" if said else ""


def bars(points: Iterable[tuple[datetime, int]]) -> tuple[Bar, ...]:
    """Return points with heights; an hour with any event has a visible height."""
    pairs: list[tuple[datetime, int]] = list(points)
    most = max((events for _at, events in pairs), default=0)

    def height(events: int) -> int:
        return max(4, round(100 * events / most)) if events else 0

    return tuple(Bar(at, events, height(events)) for at, events in pairs)


def rectangles(trend: Iterable[Bar]) -> list[dict[str, Any]]:
    """Return the bars of a sparkline in a view box of 100 by 100, as wide as their number allows."""
    drawn = list(trend)
    step = 100 / max(1, len(drawn))
    return [
        {
            "x": f"{number * step + step * 0.1:.2f}",
            "y": 100 - bar.height,
            "width": f"{step * 0.8:.2f}",
            "height": bar.height,
            "bar": bar,
        }
        for number, bar in enumerate(drawn)
    ]
