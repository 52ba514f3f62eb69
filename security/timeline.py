"""What security tells the timeline: flags that were opened."""

from collections.abc import Sequence

from portal.core.timeline import Event, Slice
from security.models import Flag

FLAGGED = "flag.opened"


def flagged(wanted: Slice) -> Sequence[Event]:
    """Return flags; none belongs to a service."""
    if wanted.service:
        return []
    return [
        Event(
            FLAGGED, row.pk, row.opened_at, f"Flag: {row}"[:300], row.sentence,
            tone="bad" if row.score >= 70 else "warn", url=row.get_absolute_url(),
        )
        for row in wanted.take(Flag.objects.all(), FLAGGED, at="opened_at")
    ]  # fmt: skip
