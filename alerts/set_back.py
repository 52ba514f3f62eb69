"""Brings forward what a clock that was ahead has dated: set back, it would let all of that wait until it catches up.

A minute of difference is left alone: clocks of workers differ.
"""

from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from alerts.attempts import LONGEST_RETRY_AFTER

MARGIN = timedelta(minutes=1)
# A group that nobody has looked at waits for its route's first wait; one that was, for times after its last words.
# Locked in the order of routing and dispatch (alerts.router), so that none waits in a circle.
_GROUPS = """
WITH late AS (
    SELECT g.id FROM alerts_notificationgroup g JOIN alerts_route r ON r.id = g.route_id
    WHERE g.flushed_at > %(ahead)s
        OR g.flush = 0 AND g.next_flush_at > %(ahead)s + r.group_wait_seconds * interval '1 second'
    ORDER BY g.route_id, g.key FOR UPDATE OF g
)
UPDATE alerts_notificationgroup g SET flushed_at = CASE WHEN g.flushed_at > %(at)s THEN %(at)s ELSE g.flushed_at END,
    next_flush_at = CASE WHEN g.next_flush_at > %(at)s THEN %(at)s ELSE g.next_flush_at END,
    told = coalesce((SELECT jsonb_object_agg(channel, CASE WHEN (words ->> 0)::timestamptz > %(at)s
        THEN jsonb_set(words, '{0}', to_jsonb(%(written)s::text)) ELSE words END)
        FROM jsonb_each(g.told) AS t (channel, words)), '{}')
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
def catch_up(*, at: datetime) -> int:
    """Let groups, messages and channels that a clock ahead of `at` has dated be due now; return how many."""
    facts: dict[str, Any] = {
        "at": at,
        "written": at.isoformat(),
        "ahead": at + MARGIN,
        "longest": LONGEST_RETRY_AFTER,
    }
    changed = 0
    with connection.cursor() as cursor:
        for statement in (_GROUPS, _NOTIFICATIONS, _CHANNELS):
            cursor.execute(statement, facts)
            changed += cursor.rowcount
    return changed
