"""Lists this app's readers of the audit trail, and raises alerts when one falls behind."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.conf import settings

from alerts import raised
from alerts.raised import DesiredAlert
from audit import retention, stream
from audit.readers import Reader
from audit.stream import Position
from security.models import DetectorCursor, SiemDestination

FAILING, KEPT = "PortalSiemFailing", "PortalTrailKept"
PATIENCE = timedelta(minutes=15)


def find() -> Iterator[Reader]:
    """Yield the detection rules and the enabled destinations whose cursors belong to this database cluster."""
    cluster = stream.cluster()
    for cursor in DetectorCursor.objects.filter(cluster=cluster):
        yield Reader("the detection rules", Position(cursor.txid, cursor.entry_id))
    for row in SiemDestination.objects.filter(cluster=cluster, enabled=True):
        yield Reader(f"the SIEM destination {row.name}", Position(row.txid, row.entry_id))


def watch(*, at: datetime) -> None:
    """Raise or clear the alerts about destinations that fail or lag, and about months that remain unread."""
    enabled = SiemDestination.objects.filter(enabled=True).with_oldest_waiting()
    failing = [wanted for row in enabled if (wanted := alert_about(row, at=at))]
    raised.sync(
        FAILING, failing, reason="It accepts the trail again, or forwarding to it has stopped."
    )
    held = retention.holding(at=at, months=settings.AUDIT_RETENTION_MONTHS)
    raised.sync(
        KEPT,
        [_kept_alert(*item) for item in held.items()],
        reason="No month is kept for it any more.",
    )


def alert_about(row: SiemDestination, *, at: datetime) -> DesiredAlert | None:
    """Return the alert about a destination that has failed or lagged for longer than PATIENCE, else None."""
    oldest = row.waits_since()
    if row.failing_since and at - row.failing_since >= PATIENCE:
        said, since = (
            f"It has accepted nothing since {row.failing_since:%Y-%m-%d %H:%M} UTC: {row.error}",
            row.failing_since,
        )
    elif oldest and at - oldest >= PATIENCE:
        said = "It is more than 15 minutes behind the trail. Check the worker's log for the task forward_to."
        since = oldest
    else:
        return None
    summary = f"The SIEM destination {row.name} does not receive the audit trail"
    facts = {"summary": summary, "description": said, "destination": row.get_absolute_url()}
    return DesiredAlert({"destination": row.name}, facts, at=since)


def _kept_alert(reader: str, months: list[str]) -> DesiredAlert:
    facts = {
        "summary": f"Months of the audit trail past AUDIT_RETENTION_MONTHS are kept for {reader}",
        "description": f"It has not read {', '.join(months)}. Mend it, or disable it if it is not needed: the next"
        " hourly tick then drops them.",
    }
    return DesiredAlert({"reader": reader}, facts)
