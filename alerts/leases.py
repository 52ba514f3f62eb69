"""Who holds a channel: its lease is taken by compare-and-swap, by the clock of the database.

Clocks of workers may differ; what they wrote under a lease that is no longer theirs is not kept.
"""

from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from alerts.notification_models import Channel

MARGIN = timedelta(seconds=15)
# What a delivering worker writes of how the channel does.
STATE = ("failures", "error", "failing_since", "not_before")


def due_channels(*, at: datetime) -> list[int]:
    """Return the channels that have something to deliver and are held by nobody."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.id FROM alerts_channel c WHERE c.enabled"
            " AND (c.lease_until IS NULL OR c.lease_until < statement_timestamp())"
            " AND (c.not_before IS NULL OR c.not_before <= %(at)s)"
            " AND EXISTS (SELECT FROM alerts_notification n WHERE n.channel_id = c.id"
            "   AND n.outcome = 'pending' AND n.next_attempt_at <= %(at)s)",
            {"at": at},
        )
        return [int(row[0]) for row in cursor.fetchall()]


def take(channel_id: int, seconds: float) -> Channel | None:
    """Take the channel for this worker; None when another one has it, or it rests.

    The lease covers the run and the one message begun before its end, and hardly more: what a worker
    held that was killed waits until it is over.
    """
    free = Q(lease_until__isnull=True) | Q(lease_until__lt=Now())
    rested = Q(not_before__isnull=True) | Q(not_before__lte=timezone.now())
    wanted = Channel.objects.filter(free, rested, pk=channel_id, enabled=True)
    found = wanted.values_list("timeout_seconds", "lease_until").first()
    if found is None:
        return None
    length = timedelta(seconds=seconds + found[0]) + MARGIN
    if not wanted.update(lease_until=Now() + length):
        return None
    if found[1] is not None:
        _count_cut_off(channel_id)
    return Channel.objects.get(pk=channel_id)


_CUT_OFF = """
UPDATE alerts_notification SET attempts = attempts + 1, answer = '' WHERE id = (
    SELECT id FROM alerts_notification WHERE channel_id = %s AND outcome = 'pending' AND next_attempt_at <= now()
    ORDER BY kind = 'digest' DESC, id LIMIT 1)
"""


def _count_cut_off(channel_id: int) -> None:
    """Count the attempt of a holder that never gave its lease back: it was at the first of what waits.

    An attempt without an answer is how the log shows it; and a message that ends its worker each time is
    given up like any other.
    """
    with connection.cursor() as cursor:
        cursor.execute(_CUT_OFF, [channel_id])


def note_state(channel: Channel) -> bool:
    """Write how the channel does; False when it is another worker's, is off, or has another URL by now."""
    state = {name: getattr(channel, name) for name in STATE}
    return bool(_mine(channel).filter(enabled=True).update(**state))


def give_back(channel: Channel) -> None:
    _mine(channel).update(lease_until=None, sent_at=channel.sent_at)


def _mine(channel: Channel) -> QuerySet[Channel]:
    return Channel.objects.filter(pk=channel.pk, lease_until=channel.lease_until)
