"""Provides the events of alerting to the timeline: starts and ends of episodes, and silences."""

from collections.abc import Sequence

from django.db.models import QuerySet

from alerts.models import Alert, Silence, State
from portal.core.timeline import Event, Slice

FIRED, RESOLVED, SILENCED = "alert.fired", "alert.resolved", "silence.began"
_BAD = frozenset({"critical", "page", "error", "emergency", "high", "major"})
_FIELDS = ("id", "alertname", "severity", "annotations", "starts_at", "ends_at", "service__slug")


def fired(wanted: Slice) -> Sequence[Event]:
    rows = wanted.take(_alerts(wanted), FIRED, at="starts_at")
    return [
        Event(
            FIRED, alert.pk, alert.starts_at, f"{alert.alertname} fired", alert.summary,
            tone="bad" if alert.severity.lower() in _BAD else "warn",
            service=_slug(alert), url=alert.get_absolute_url(),
        )
        for alert in rows
    ]  # fmt: skip


def resolved(wanted: Slice) -> Sequence[Event]:
    ended = _alerts(wanted).filter(state=State.RESOLVED)
    return [
        Event(
            RESOLVED, alert.pk, alert.ends_at, f"{alert.alertname} resolved", alert.summary,
            tone="good", service=_slug(alert), url=alert.get_absolute_url(),
        )
        for alert in wanted.take(ended, RESOLVED, at="ends_at")
        if alert.ends_at
    ]  # fmt: skip


def silenced(wanted: Slice) -> Sequence[Event]:
    """Return silences that began; for one service, those whose matchers name it."""
    rows = Silence.objects.all()
    if wanted.service:
        slug = wanted.service.slug
        rows = rows.filter(matchers__contains=[{"name": "service", "operator": "=", "value": slug}])
    return [
        Event(
            SILENCED, row.pk, row.starts_at, f"Silence on {row}"[:300],
            f"{row.comment} (until {row.ends_at:%Y-%m-%d %H:%M} UTC)",
            actor=row.created_by, url=row.get_absolute_url(),
        )
        for row in wanted.take(rows, SILENCED, at="starts_at")
    ]  # fmt: skip


def _alerts(wanted: Slice) -> QuerySet[Alert]:
    rows = Alert.objects.select_related("service").only(*_FIELDS)
    return rows.filter(service=wanted.service) if wanted.service else rows


def _slug(alert: Alert) -> str:
    return alert.service.slug if alert.service else ""
