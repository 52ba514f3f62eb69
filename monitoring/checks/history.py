"""Reads the history of a service or check over a window: spans of status, uptime, and hourly latency."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import QuerySet

from monitoring.checks.uptime import Span, Uptime, spans, uptime
from monitoring.models import Check, CheckHour, StatusChange

_WINDOW = re.compile(r"^([1-9][0-9]{0,3})([hdw])$")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
MAX_WINDOW = timedelta(days=400)


@dataclass(frozen=True, slots=True)
class History:
    start: datetime
    end: datetime
    spans: list[Span]
    uptime: Uptime


def window_of(written: str) -> timedelta:
    """Return the length of a window such as `30d`, `24h` or `4w`. Raises ValueError with a sentence."""
    match = _WINDOW.match(written.strip())
    length = int(match[1]) * _UNITS[match[2]] if match else timedelta()
    if not timedelta() < length <= MAX_WINDOW:
        raise ValueError("Write a window such as 24h, 7d, 30d or 12w, of at most 400 days.")
    return length


def of_service(service_id: int, *, start: datetime, end: datetime) -> History:
    changes = StatusChange.objects.filter(service_id=service_id, check_row__isnull=True)
    return _history(changes, start=start, end=end)


def of_check(check: Check, *, start: datetime, end: datetime) -> History:
    return _history(StatusChange.objects.filter(check_row=check), start=start, end=end)


def _history(changes: QuerySet[StatusChange], *, start: datetime, end: datetime) -> History:
    """Split the window at its flips; the status before the very first one is unknown."""
    inside = changes.filter(at__gt=start, at__lt=end).order_by("at", "id")
    flips = list(inside.values_list("at", "new_status"))
    before = (
        changes.filter(at__lte=start).order_by("-at", "-id").values_list("new_status", flat=True)
    )
    stretches = spans(flips, before=before.first() or "unknown", start=start, end=end)
    return History(start, end, stretches, uptime(stretches))


def of_checks(checks: Collection[Check], *, start: datetime, end: datetime) -> dict[int, History]:
    """Return the histories of several checks with two queries."""
    ids = [check.pk for check in checks]
    inside: dict[int, list[tuple[datetime, str]]] = {pk: [] for pk in ids}
    rows = StatusChange.objects.filter(check_row__in=ids, at__gt=start, at__lt=end)
    for pk, at, new in rows.order_by("at", "id").values_list("check_row_id", "at", "new_status"):
        inside[pk].append((at, new))
    earlier = StatusChange.objects.filter(check_row__in=ids, at__lte=start)
    last = earlier.order_by("check_row_id", "-at", "-id").distinct("check_row_id")
    before = dict(last.values_list("check_row_id", "new_status"))
    found = {}
    for pk in ids:
        cut = spans(inside[pk], before=before.get(pk, "unknown"), start=start, end=end)
        found[pk] = History(start, end, cut, uptime(cut))
    return found


def hours_of(check: Check, *, start: datetime) -> list[CheckHour]:
    return list(CheckHour.objects.filter(check_row=check, hour__gte=start).order_by("hour"))
