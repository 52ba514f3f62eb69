"""Errors at a glance, of everything or of one service: a fixed number of queries over partial indexes."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Q, Sum

from monitoring.errors.models import RECENT, ErrorIssue, ErrorTally
from monitoring.errors.reconcile import hour_of

FREQUENT = 5
TREND_HOURS = 24


@dataclass(frozen=True, slots=True)
class Bar:
    """Events of one hour, and its height as a share (0 to 100) of the highest."""

    at: datetime
    events: int
    height: int


@dataclass(frozen=True, slots=True)
class ErrorSummary:
    """`users` is the sum over the issues: one person who met two of them counts twice."""

    unresolved: int
    new: int
    regressed: int
    users: int
    frequent: tuple[ErrorIssue, ...]
    trend: tuple[Bar, ...]

    @property
    def events(self) -> int:
        return sum(bar.events for bar in self.trend)


def error_summary(*, at: datetime, service_id: int | None = None) -> ErrorSummary:
    """Return what is unresolved now, and what the last 24 hours brought."""
    wanted = Q() if service_id is None else Q(service_id=service_id)
    recent = at - RECENT
    open_issues = ErrorIssue.objects.unresolved().filter(wanted).order_by()
    counts = open_issues.aggregate(
        unresolved=Count("id"),
        new=Count("id", filter=Q(first_seen_at__gt=recent)),
        regressed=Count("id", filter=Q(regressed_at__gt=recent)),
        users=Sum("user_count", filter=Q(last_seen_at__gt=recent)),
    )
    seen = ErrorIssue.objects.unresolved().filter(wanted, last_seen_at__gt=recent)
    frequent = seen.select_related("service", "upstream").order_by("-count", "-id")[:FREQUENT]
    return ErrorSummary(
        unresolved=counts["unresolved"],
        new=counts["new"],
        regressed=counts["regressed"],
        users=counts["users"] or 0,
        frequent=tuple(frequent.defer("raw", "trend")),
        trend=_trend(at, wanted),
    )


def _trend(at: datetime, wanted: Q) -> tuple[Bar, ...]:
    first = hour_of(at) - timedelta(hours=TREND_HOURS - 1)
    rows = ErrorTally.objects.filter(wanted, hour__gte=first, hour__lte=at).order_by()
    known = dict(rows.values_list("hour").annotate(Sum("events")))
    hours = [first + timedelta(hours=n) for n in range(TREND_HOURS)]
    return bars([(hour, known.get(hour, 0)) for hour in hours])


def bars(points: Iterable[tuple[datetime, int]]) -> tuple[Bar, ...]:
    """Return points with heights; an hour with any event at all is seen."""
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
