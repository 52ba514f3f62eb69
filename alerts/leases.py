"""Manages the leases of channels: taken by compare-and-swap, and timed by the database's clock.

The workers' clocks may differ; results of a worker that has lost its lease are not stored.
"""

from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from alerts.notification_models import Channel

MARGIN = timedelta(seconds=15)
# The columns in which a delivering worker records the state of the channel.
STATE = ("failures", "error", "failing_since", "not_before")


def due_channels(*, at: datetime) -> list[int]:
    """Return the channels that have something to deliver and are not leased."""
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
    """Lease the channel for this worker; None when another one holds it, or it is pausing.

    The lease covers the run and one message that starts before its end, and little more, because the
    channel of a killed worker has to wait until its lease expires.
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
    """Count the attempt of a worker that never released its lease: it was sending the first waiting message.

    The log shows it as an attempt without an answer; and a message that kills its worker each time is
    eventually given up like any other.
    """
    with connection.cursor() as cursor:
        cursor.execute(_CUT_OFF, [channel_id])


def note_state(channel: Channel) -> bool:
    """Store the channel's state; False when another worker holds it, it is disabled, or its URL has changed."""
    state = {name: getattr(channel, name) for name in STATE}
    return bool(_mine(channel).filter(enabled=True).update(**state))


def give_back(channel: Channel) -> None:
    _mine(channel).update(lease_until=None, sent_at=channel.sent_at)


def _mine(channel: Channel) -> QuerySet[Channel]:
    return Channel.objects.filter(pk=channel.pk, lease_until=channel.lease_until)
