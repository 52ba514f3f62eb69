"""Deletes old rows of the delivery log, and groups without members."""

from datetime import datetime, timedelta

from django.db import connection, transaction

from audit import services as audit
from audit.services import Target

KEEP = timedelta(days=180)
BATCH = 10_000
BATCHES = 50


def forget_old(*, at: datetime) -> tuple[int, int]:
    """Delete deliveries older than KEEP and groups without members, in batches; return how many."""
    rows = groups = 0
    for _ in range(BATCHES):
        done = _forget_batch(at)
        rows, groups = rows + done[0], groups + done[1]
        if max(done) < BATCH:
            break
    return rows, groups


@transaction.atomic
def _forget_batch(at: datetime) -> tuple[int, int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH old AS (SELECT id FROM alerts_notification WHERE created_at < %s AND outcome <> 'pending'"
            " ORDER BY created_at LIMIT %s), untied AS (UPDATE alerts_notification SET digest_id = NULL"
            " WHERE digest_id IN (SELECT id FROM old) AND id NOT IN (SELECT id FROM old))"
            " DELETE FROM alerts_notification WHERE id IN (SELECT id FROM old)",
            [at - KEEP, BATCH],
        )
        rows = cursor.rowcount
        # Locked as in routing, so that a group that is just being filled is not deleted.
        cursor.execute(
            "DELETE FROM alerts_notificationgroup WHERE id IN (SELECT g.id FROM alerts_notificationgroup g"
            " WHERE g.next_flush_at IS NULL AND NOT EXISTS (SELECT FROM alerts_groupmember m"
            " WHERE m.group_id = g.id) LIMIT %s FOR UPDATE SKIP LOCKED)",
            [BATCH],
        )
        groups = cursor.rowcount
    if rows:
        audit.record(
            "notification.forgotten", target=Target("alerts.notification"), data={"count": rows}
        )
    return rows, groups
