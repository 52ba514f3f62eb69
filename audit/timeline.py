"""Provides the events of the audit trail to the timeline: actions of people and programs."""

from collections.abc import Sequence

from django.apps import apps

from audit.models import AuditEntry, Outcome
from audit.wording import phrase
from portal.core.timeline import Event, Slice

ACTED = "audit"
_FIELDS = (
    "id", "recorded_at", "action", "outcome", "reason", "actor_name", "actor_type", "target_name", "target_type",
    "target_id", "data",
)  # fmt: skip


def acted(wanted: Slice) -> Sequence[Event]:
    """Return entries of the trail; for one service, those about it and its objects, and those its application sent."""
    rows = AuditEntry.objects.only(*_FIELDS)
    if wanted.service:
        rows = rows.of_service(wanted.service.slug)
    return [_event(entry) for entry in wanted.take(rows, ACTED, at="recorded_at")]


def _event(entry: AuditEntry) -> Event:
    went_well, service = entry.outcome == Outcome.SUCCESS, entry.data.get("service")
    return Event(
        ACTED, entry.pk, entry.recorded_at,
        phrase(entry.action, noun=_noun(entry.target_type), failed=entry.outcome == Outcome.FAILURE),
        " – ".join(part for part in (entry.target_name, entry.reason) if part)[:500],
        tone="plain" if went_well else "warn",
        service=service[:100] if isinstance(service, str) else "",
        actor=entry.actor_name or entry.actor_type, url=entry.get_absolute_url(), action=entry.action,
    )  # fmt: skip


def _noun(target_type: str) -> str:
    """Return "scrape target" for monitoring.scrapetarget; anything but a model of ours is returned unchanged."""
    try:
        return str(apps.get_model(target_type)._meta.verbose_name)
    except (LookupError, ValueError):
        return target_type.rpartition(".")[2].replace("_", " ")
