"""Corrects due times that were written while the clock ran ahead.

After the clock is set back, groups, messages and channels with such times would wait until it has caught
up. Differences up to MARGIN are left alone, because the clocks of workers differ.
"""

from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from alerts.attempts import LONGEST_RETRY_AFTER

MARGIN = timedelta(minutes=1)
# A group that was never flushed is due after its route's group wait; otherwise `flushed_at` is the reference.
# Locked in the same order as in routing and dispatch (alerts.router), to avoid a deadlock.
_GROUPS = """
WITH late AS (
    SELECT g.id FROM alerts_notificationgroup g JOIN alerts_route r ON r.id = g.route_id
    WHERE g.flushed_at > %(ahead)s
        OR g.flush = 0 AND g.next_flush_at > %(ahead)s + r.group_wait_seconds * interval '1 second'
    ORDER BY g.route_id, g.key FOR UPDATE OF g
)
UPDATE alerts_notificationgroup g SET flushed_at = CASE WHEN g.flushed_at > %(at)s THEN %(at)s ELSE g.flushed_at END,
    next_flush_at = CASE WHEN g.next_flush_at > %(at)s THEN %(at)s ELSE g.next_flush_at END,
    told = coalesce((SELECT jsonb_object_agg(channel, CASE WHEN (entry ->> 0)::timestamptz > %(at)s
        THEN jsonb_set(entry, '{0}', to_jsonb(%(at_text)s::text)) ELSE entry END)
        FROM jsonb_each(g.told) AS t (channel, entry)), '{}')
FROM late WHERE late.id = g.id
"""
_NOTIFICATIONS = """
UPDATE alerts_notification SET next_attempt_at = %(at)s,
    queued_at = CASE WHEN queued_at > %(at)s THEN %(at)s ELSE queued_at END
WHERE outcome = 'pending' AND (queued_at > %(ahead)s
    OR kind = 'message' AND next_attempt_at > %(ahead)s + %(longest)s)
"""
_CHANNELS = """
UPDATE alerts_channel SET not_before = NULL,
    failing_since = CASE WHEN failing_since > %(at)s THEN %(at)s ELSE failing_since END
WHERE failing_since > %(ahead)s OR not_before > %(ahead)s + %(longest)s
"""


@transaction.atomic
def make_due(*, at: datetime) -> int:
    """Set times that lie after `at` to `at`, in groups, messages and channels; return how many rows changed."""
    facts: dict[str, Any] = {
        "at": at,
        "at_text": at.isoformat(),
        "ahead": at + MARGIN,
        "longest": LONGEST_RETRY_AFTER,
    }
    changed = 0
    with connection.cursor() as cursor:
        for statement in (_GROUPS, _NOTIFICATIONS, _CHANNELS):
            cursor.execute(statement, facts)
            changed += cursor.rowcount
    return changed
