"""Deletes blocks that ended long ago, so that the blocks of CrowdSec's lists do not grow without limit."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction

from audit import services as audit
from audit.services import Target
from portal.core.request_context import SYSTEM
from security.models import BlockOrigin

# Per origin and run; the tick runs every ten minutes.
BATCH = 20_000

# A block that was lifted here is kept until that was pushed to CrowdSec, or it has expired there.
FORGET = """
DELETE FROM security_block WHERE id IN (
    SELECT id FROM security_block
    WHERE origin = %(origin)s AND ended_at IS NOT NULL AND ended_at < %(before)s
        AND (pushed_at IS NULL OR pushed_until <= %(now)s)
    ORDER BY ended_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
"""


def kept_days() -> dict[str, int]:
    """Return for each origin how many days an ended block is kept; 0 means for ever."""
    ours, remote = settings.BLOCK_RETENTION_DAYS, settings.CROWDSEC_RETENTION_DAYS
    return {
        origin: remote if origin == BlockOrigin.CROWDSEC else ours for origin in BlockOrigin.values
    }


@transaction.atomic
def forget_ended(*, at: datetime, limit: int = BATCH) -> dict[str, int]:
    """Delete up to `limit` blocks of each origin past the retention period; return the number for each origin."""
    forgotten = {}
    for origin, days in kept_days().items():
        if days and (
            count := _forget(origin, before=at - timedelta(days=days), at=at, limit=limit)
        ):
            forgotten[origin] = count
    if forgotten:
        facts = {"blocks": forgotten, "kept_days": kept_days()}
        audit.record("block.forgotten", actor=SYSTEM, target=Target("security.block"), data=facts)
    return forgotten


def _forget(origin: str, *, before: datetime, at: datetime, limit: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute(FORGET, {"origin": origin, "before": before, "now": at, "limit": limit})
        return int(cursor.rowcount)
