"""Delivers waiting notifications, one worker per channel, and writes down how each attempt ended.

The order is: send, then write the result. A worker that dies in between leaves a row that is still
waiting: the message may be sent twice, and is never lost. Two workers never hold the
same channel: its lease is taken by compare-and-swap.
"""

import logging
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta

from django.db import DatabaseError, connection, transaction
from django.db.models import Q
from django.utils import timezone

from alerts import attempts, sender, storm
from alerts.attempts import Verdict
from alerts.notification_models import Channel, Kind, Notification, Outcome
from alerts.raised import clear_alert, raise_alert

log = logging.getLogger(__name__)
RUN_SECONDS = 15.0
LEASE_MARGIN = timedelta(seconds=15)
CHUNK = 50
ALERTNAME = "PortalNotificationFailing"


def due_channels(*, at: datetime) -> list[int]:
    """Return the channels that have something to deliver and are held by nobody."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.id FROM alerts_channel c WHERE c.enabled"
            " AND (c.lease_until IS NULL OR c.lease_until < %(at)s)"
            " AND (c.not_before IS NULL OR c.not_before <= %(at)s)"
            " AND EXISTS (SELECT FROM alerts_notification n WHERE n.channel_id = c.id"
            "   AND n.outcome = 'pending' AND n.next_attempt_at <= %(at)s)",
            {"at": at},
        )
        return [int(row[0]) for row in cursor.fetchall()]


def deliver(channel_id: int, *, seconds: float = RUN_SECONDS) -> int:
    """Deliver what waits for one channel, for at most so long; return how many were sent."""
    channel = _lease(channel_id, seconds)
    if channel is None:
        return 0
    ends_at = time.monotonic() + seconds
    try:
        with _not_waiting_for_the_disk():
            return _deliver(channel, ends_at)
    finally:
        Channel.objects.filter(pk=channel.pk, lease_until=channel.lease_until).update(
            lease_until=None, sent_at=channel.sent_at
        )


def _deliver(channel: Channel, ends_at: float) -> int:
    """Deliver until nothing waits, the time is over, or the channel needs a rest."""
    sent = 0
    while time.monotonic() < ends_at:
        queue = storm.next_in_line(channel, at=timezone.now(), limit=CHUNK)
        if not queue:
            break
        for notification in queue:
            verdict = _attempt(channel, notification)
            sent += verdict.delivered
            if verdict.retryable or time.monotonic() >= ends_at:
                # The next message would fare the same; the channel rests first.
                return sent
    return sent


@contextmanager
def _not_waiting_for_the_disk() -> Iterator[None]:
    """Let commits inside the block return before they are on the disk.

    The noted answers need not wait: what a crash of PostgreSQL forgets of the last half second is
    sent again, as after a crash of the worker. Waiting would cost as much as the sending. The
    connection is the worker's own, and what else it writes must be durable: hence the way back.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit TO off")
    try:
        yield
    finally:
        # A connection that broke is replaced by one with the server's own setting.
        with suppress(DatabaseError), connection.cursor() as cursor:
            cursor.execute("RESET synchronous_commit")


def _lease(channel_id: int, seconds: float) -> Channel | None:
    """Take the channel for this worker; None when another one has it, or it rests.

    The lease covers the run and the one message begun before its end, and hardly more: what a worker
    held that was killed waits until it is over.
    """
    now = timezone.now()
    free = Q(lease_until__isnull=True) | Q(lease_until__lt=now)
    rested = Q(not_before__isnull=True) | Q(not_before__lte=now)
    wanted = Channel.objects.filter(free, rested, pk=channel_id, enabled=True)
    longest = wanted.values_list("timeout_seconds", flat=True).first()
    if longest is None:
        return None
    until = now + timedelta(seconds=seconds + longest) + LEASE_MARGIN
    if not wanted.update(lease_until=until):
        return None
    return Channel.objects.get(pk=channel_id)


def _attempt(channel: Channel, notification: Notification) -> Verdict:
    """Try one message once."""
    notification.attempts += 1
    if notification.kind == Kind.DIGEST:
        storm.compose(channel, notification)
    attempt = sender.send(
        channel.url,
        title=notification.subject,
        body=notification.body,
        firing=bool(notification.firing) or not notification.resolved,
        key=f"portal-{notification.batch.rpartition(':')[0]}",
        timeout_seconds=channel.timeout_seconds,
    )
    now = timezone.now()
    verdict = attempts.judge(attempt, now=now)
    notification.answer = verdict.sentence
    notification.duration_seconds = round(attempt.seconds, 3)
    if verdict.delivered:
        _delivered(channel, notification, now)
    else:
        _failed(channel, notification, verdict, now)
    return verdict


def _finish(notification: Notification, outcome: str, now: datetime) -> None:
    """Write the end of a notification, unless somebody else did."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE alerts_notification SET outcome = %s, attempts = %s, answer = %s, duration_seconds = %s,"
            " finished_at = %s, next_attempt_at = NULL WHERE id = %s AND outcome = 'pending'",
            [outcome, notification.attempts, notification.answer, notification.duration_seconds, now,
             notification.pk],
        )  # fmt: skip


def _delivered(channel: Channel, notification: Notification, now: datetime) -> None:
    _finish(notification, Outcome.SENT, now)
    channel.sent_at = now
    if channel.failures or channel.error:
        _recovered(channel)


def _recovered(channel: Channel) -> None:
    log.info("Channel %s delivers again.", channel.name)
    channel.failures, channel.error, channel.failing_since, channel.not_before = 0, "", None, None
    with transaction.atomic():
        channel.save(update_fields=["failures", "error", "failing_since", "not_before"])
        clear_alert(alertname=ALERTNAME, labels={"channel": channel.name})


def _failed(channel: Channel, notification: Notification, verdict: Verdict, now: datetime) -> None:
    """Let the channel rest, or give the message up; a message given up raises an alert."""
    channel.failures += 1
    channel.failing_since = channel.failing_since or now
    channel.error = verdict.sentence
    hopeless = attempts.is_hopeless(notification.attempts, queued_at=notification.queued_at, now=now)  # fmt: skip
    rest = max(
        attempts.back_off(channel.failures, luck=random.random), verdict.wait or timedelta(0)
    )
    channel.not_before = now + rest if verdict.retryable else None
    log.warning("Channel %s: %s", channel.name, verdict.sentence)
    with transaction.atomic():
        channel.save(update_fields=["failures", "failing_since", "error", "not_before"])
        if verdict.retryable and not hopeless:
            Notification.objects.filter(pk=notification.pk, outcome=Outcome.PENDING).update(
                attempts=notification.attempts,
                answer=notification.answer,
                duration_seconds=notification.duration_seconds,
                next_attempt_at=channel.not_before,
            )
        else:
            _finish(notification, Outcome.FAILED, now)
            _give_up_old(channel, now)
            _raise(channel)


def _give_up_old(channel: Channel, now: datetime) -> None:
    """What waited behind the failed message for hours is no news any more either."""
    channel.notifications.filter(
        outcome=Outcome.PENDING, queued_at__lte=now - attempts.GIVE_UP_AFTER
    ).update(outcome=Outcome.FAILED, answer=channel.error, finished_at=now, next_attempt_at=None)


def _raise(channel: Channel) -> None:
    raise_alert(
        alertname=ALERTNAME,
        labels={"channel": channel.name},
        severity="critical",
        annotations={
            "summary": f"Notifications by {channel.name} are not delivered",
            "description": channel.error,
        },
        at=channel.failing_since,
    )
