"""Delivers waiting notifications, with one worker per channel, and records the result of each attempt.

It sends first, then writes the result. A worker that dies in between leaves a row that is still waiting,
so that the message may be sent twice, but is never lost. The next worker counts the interrupted attempt
(alerts.leases).
"""

import logging
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta

from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from alerts import attempts, leases, sender, storm
from alerts.attempts import Attempt, Verdict
from alerts.notification_models import Channel, Kind, Notification, Outcome
from alerts.raised import clear_alert, raise_alert

log = logging.getLogger(__name__)
RUN_SECONDS = 15.0
CHUNK = 50
ALERTNAME = "PortalNotificationFailing"


def deliver(channel_id: int, *, seconds: float = RUN_SECONDS) -> int:
    """Deliver the messages that wait for one channel, for a limited time; return how many were sent."""
    channel = leases.take(channel_id, seconds)
    if channel is None:
        return 0
    ends_at = time.monotonic() + seconds
    try:
        with _not_waiting_for_the_disk():
            return _deliver(channel, ends_at)
    finally:
        leases.give_back(channel)


def _deliver(channel: Channel, ends_at: float) -> int:
    """Deliver until nothing waits, the time is over, or the channel must pause."""
    sent = 0
    while time.monotonic() < ends_at:
        queue = storm.messages_to_send(channel, at=timezone.now(), limit=CHUNK)
        if not queue:
            break
        for notification in queue:
            verdict, goes_on = _attempt(channel, notification)
            sent += verdict.delivered
            if not goes_on or time.monotonic() >= ends_at:
                return sent
            if not verdict.delivered:
                break  # other messages may have been given up too, so read the queue again
    return sent


@contextmanager
def _not_waiting_for_the_disk() -> Iterator[None]:
    """Let commits inside the block return before they are written to disk.

    Results need not be durable at once: if PostgreSQL crashes, those of the last half second are lost, and
    the messages are sent again, as after a crash of the worker. Waiting would take as long as sending. The
    worker's other writes on this connection must be durable, so the setting is restored.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit TO off")
    try:
        yield
    finally:
        # A lost connection is replaced by one with the server's default setting.
        with suppress(DatabaseError), connection.cursor() as cursor:
            cursor.execute("RESET synchronous_commit")


def _attempt(channel: Channel, notification: Notification) -> tuple[Verdict, bool]:
    """Try to send one message once; return the result, and whether this worker may continue."""
    was_cut_off = notification.attempts > 0 and not notification.answer
    if notification.attempts >= attempts.MAX_ATTEMPTS:
        verdict = attempts.cut_off_verdict(notification.attempts)
        notification.answer = verdict.sentence
        return verdict, _failed(channel, notification, verdict, timezone.now())
    notification.attempts += 1
    attempt = _send(channel, notification)
    now = timezone.now()
    verdict = attempts.judge(attempt, now=now)
    notification.answer = verdict.sentence + (f" {attempts.CUT_OFF}" if was_cut_off else "")
    notification.duration_seconds = round(attempt.seconds, 3)
    if verdict.delivered:
        return verdict, _delivered(channel, notification, now)
    return verdict, _failed(channel, notification, verdict, now)


def _send(channel: Channel, notification: Notification) -> Attempt:
    if notification.kind == Kind.DIGEST:
        storm.compose(channel, notification)
    return sender.send(
        channel.url,
        title=notification.subject,
        body=notification.body,
        firing=bool(notification.firing) or not notification.resolved,
        key=f"portal-{notification.batch.rpartition(':')[0]}",
        timeout_seconds=channel.timeout_seconds,
    )


_FINISH = """
UPDATE alerts_notification n SET outcome = %s, attempts = %s, answer = %s, duration_seconds = %s, finished_at = %s,
    next_attempt_at = NULL
FROM alerts_channel c WHERE n.id = %s AND n.outcome = 'pending' AND c.id = n.channel_id
RETURNING c.enabled AND c.lease_until IS NOT DISTINCT FROM %s
"""


def _finish(channel: Channel, notification: Notification, outcome: str, now: datetime) -> bool:
    """Write the result of a notification, unless it has one; True when we still hold the channel.

    We do not if it was disabled, or its URL changed, while this message was being sent.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            _FINISH,
            [outcome, notification.attempts, notification.answer, notification.duration_seconds, now,
             notification.pk, channel.lease_until],
        )  # fmt: skip
        row = cursor.fetchone()
    return row is not None and bool(row[0])


def _delivered(channel: Channel, notification: Notification, now: datetime) -> bool:
    is_ours = _finish(channel, notification, Outcome.SENT, now)
    channel.sent_at = now
    if is_ours and (channel.failures or channel.error):
        _recovered(channel)
    return is_ours


def _recovered(channel: Channel) -> None:
    log.info("Channel %s delivers again.", channel.name)
    channel.failures, channel.error, channel.failing_since, channel.not_before = 0, "", None, None
    with transaction.atomic():
        if leases.note_state(channel):
            clear_alert(alertname=ALERTNAME, labels={"channel": channel.name})


def _failed(channel: Channel, notification: Notification, verdict: Verdict, now: datetime) -> bool:
    """Pause the channel, or give up the message, which raises an alert; True when the next one may be tried."""
    channel.failures += 1
    channel.failing_since = channel.failing_since or now
    channel.error = verdict.sentence
    hopeless = attempts.should_give_up(notification.attempts, queued_at=notification.queued_at, now=now)  # fmt: skip
    rest = max(
        attempts.backoff(channel.failures, jitter=random.random), verdict.wait or timedelta(0)
    )
    channel.not_before = now + rest if verdict.retryable else None
    log.warning("Channel %s: %s", channel.name, verdict.sentence)
    with transaction.atomic():
        if not leases.note_state(channel):
            return False  # the message waits for the worker that now holds the channel
        if verdict.retryable and not hopeless:
            Notification.objects.filter(pk=notification.pk, outcome=Outcome.PENDING).update(
                attempts=notification.attempts,
                answer=notification.answer,
                duration_seconds=notification.duration_seconds,
                next_attempt_at=channel.not_before,
            )
        else:
            _finish(channel, notification, Outcome.FAILED, now)
            _give_up_old(channel, now)
            _raise(channel)
    # After a temporary failure, the next message would fail as well, so the channel pauses first.
    return not verdict.retryable


def _give_up_old(channel: Channel, now: datetime) -> None:
    """Give up messages that have waited behind the failed one for hours, because they are outdated as well."""
    channel.notifications.filter(
        outcome=Outcome.PENDING, queued_at__lte=now - attempts.GIVE_UP_AFTER
    ).update(outcome=Outcome.FAILED, answer=channel.error, finished_at=now, next_attempt_at=None)


def _raise(channel: Channel) -> None:
    raise_alert(
        alertname=ALERTNAME,
        labels={"channel": channel.name},
        severity="critical",
        annotations={
            "summary": f"Notifications to channel {channel.name} are not delivered",
            "description": channel.error,
        },
        at=channel.failing_since,
    )
