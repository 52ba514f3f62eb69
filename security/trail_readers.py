"""Who of this app follows the trail, and what is said on the desk when one of them stands still."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.conf import settings

from alerts import raised
from alerts.raised import Trouble
from audit import retention, stream
from audit.readers import Reader
from audit.stream import Position
from security.models import DetectorCursor, SiemDestination

FAILING, KEPT = "PortalSiemFailing", "PortalTrailKept"
PATIENCE = timedelta(minutes=15)


def find() -> Iterator[Reader]:
    """Yield the rules and the enabled destinations, as far as their cursors mean something here."""
    cluster = stream.cluster()
    for cursor in DetectorCursor.objects.filter(cluster=cluster):
        yield Reader("the detection rules", Position(cursor.txid, cursor.entry_id))
    for row in SiemDestination.objects.filter(cluster=cluster, enabled=True):
        yield Reader(f"the SIEM destination {row.name}", Position(row.txid, row.entry_id))


def watch(*, at: datetime) -> None:
    """Raise an alert for each destination that does not take the trail, and for months kept unread."""
    enabled = SiemDestination.objects.filter(enabled=True).with_oldest_waiting()
    failing = [trouble for row in enabled if (trouble := trouble_of(row, at=at))]
    raised.settle(
        FAILING, failing, reason="It takes the trail again, or is not forwarded to any more."
    )
    held = retention.holding(at=at, months=settings.AUDIT_RETENTION_MONTHS)
    raised.settle(
        KEPT, [_kept(*item) for item in held.items()], reason="Nothing is kept for it any more."
    )


def trouble_of(row: SiemDestination, *, at: datetime) -> Trouble | None:
    """Return what is wrong with a destination for a quarter of an hour by now, or nothing."""
    oldest = row.waits_since()
    if row.failing_since and at - row.failing_since >= PATIENCE:
        said, since = (
            f"It has taken nothing since {row.failing_since:%Y-%m-%d %H:%M} UTC: {row.error}",
            row.failing_since,
        )
    elif oldest and at - oldest >= PATIENCE:
        said = "It is more than 15 minutes behind the trail. Look in the worker's log for the task forward_to."
        since = oldest
    else:
        return None
    summary = f"The SIEM destination {row.name} does not get the audit trail"
    facts = {"summary": summary, "description": said, "destination": row.get_absolute_url()}
    return Trouble({"destination": row.name}, facts, at=since)


def _kept(reader: str, months: list[str]) -> Trouble:
    facts = {
        "summary": f"Months of the audit trail past AUDIT_RETENTION_MONTHS are kept for {reader}",
        "description": f"It has not read {', '.join(months)}. Mend it, or disable it if it is not needed: the next"
        " hourly tick then drops them.",
    }
    return Trouble({"reader": reader}, facts)
