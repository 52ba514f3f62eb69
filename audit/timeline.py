"""What the audit trail tells the timeline: actions of people and programs."""

from collections.abc import Sequence

from audit.models import AuditEntry
from portal.core.timeline import Event, Slice

ACTED = "audit"
_FIELDS = (
    "id", "recorded_at", "action", "outcome", "reason", "actor_name", "actor_type", "target_name", "target_type",
    "target_id",
)  # fmt: skip


def acted(wanted: Slice) -> Sequence[Event]:
    """Return entries of the trail; of one service, those about the service itself."""
    rows = AuditEntry.objects.only(*_FIELDS)
    if wanted.service_id is not None:
        rows = rows.filter(target_type="core.service", target_id=str(wanted.service_id))
    return [
        Event(
            ACTED, row.pk, row.recorded_at, row.action,
            " – ".join(part for part in (row.target_name, row.reason) if part)[:500],
            tone="plain" if row.outcome == "success" else "warn",
            actor=row.actor_name or row.actor_type, url=row.get_absolute_url(),
        )
        for row in wanted.take(rows, ACTED, at="recorded_at")
    ]  # fmt: skip
