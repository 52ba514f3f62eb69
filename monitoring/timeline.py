"""Provides the events of monitoring to the timeline: status flips of services, deploys, and errors."""

from collections.abc import Sequence

from monitoring.models import Deploy, ErrorTransition, StatusChange
from portal.core.timeline import Event, Slice

FLIPPED, DEPLOYED, ERROR = "status.changed", "deploy", "error"
_TONES = {"up": "good", "degraded": "warn", "down": "bad", "unknown": "plain"}
_ERROR_TONES = {"new": "bad", "regressed": "bad", "reopened": "warn", "resolved": "good"}


def flipped(wanted: Slice) -> Sequence[Event]:
    rows = StatusChange.objects.filter(check_row__isnull=True).select_related("service")
    if wanted.service:
        rows = rows.filter(service=wanted.service)
    return [
        Event(
            FLIPPED, row.pk, row.at, f"{row.service.name} is {row.get_new_status_display().lower()}",
            row.reason, tone=_TONES[row.new_status], service=row.service.slug,
            url=row.service.get_absolute_url(),
        )
        for row in wanted.take(rows, FLIPPED)
    ]  # fmt: skip


def deployed(wanted: Slice) -> Sequence[Event]:
    rows = Deploy.objects.select_related("service")
    if wanted.service:
        rows = rows.filter(service=wanted.service)
    return [
        Event(
            DEPLOYED, row.pk, row.at, f"{row.service.name} {row} deployed", row.description,
            tone="plain", service=row.service.slug, actor=row.actor, url=row.get_absolute_url(),
        )
        for row in wanted.take(rows, DEPLOYED)
    ]  # fmt: skip


def errors(wanted: Slice) -> Sequence[Event]:
    rows = ErrorTransition.objects.select_related("issue", "service")
    if wanted.service:
        rows = rows.filter(service=wanted.service)
    return [
        Event(
            ERROR, row.pk, row.at, f"{row.get_kind_display()}: {row.issue.title}"[:300],
            row.text or row.issue.culprit, tone=_ERROR_TONES.get(row.kind, "plain"),
            service=row.service.slug if row.service else "", actor=row.actor,
            url=row.issue.get_absolute_url(),
        )
        for row in wanted.take(rows, ERROR)
    ]  # fmt: skip
