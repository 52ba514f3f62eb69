"""Changes to channels (save, delete, test, resend), for the admin, the API and the environment."""

import uuid
from collections.abc import Iterable
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from alerts import attempts, sender
from alerts.delivery import ALERTNAME
from alerts.leases import STATE
from alerts.notification_models import Channel, Kind, Notification, Outcome
from alerts.raised import clear_alert
from alerts.routing import Reason
from audit import services as audit

# Columns that the delivering worker writes.
DELIVERYS = ("sent_at",)


def check_url(url: str) -> tuple[str, str]:
    """Return service and masked URL without sending a request. Raises ValidationError."""
    try:
        return sender.describe(url)
    except sender.ChannelUrlError as error:
        raise ValidationError({"url": str(error)}) from error


@transaction.atomic
def save(channel: Channel, *, url: str = "", actor: Any) -> Channel:
    """Store a channel; an empty `url` keeps the stored one. Raises ValidationError.

    Messages that wait for a disabled channel are withheld, with that reason. A worker may be delivering
    at the same time: of the columns that it writes, only those that a new URL invalidates are changed.
    """
    if url:
        channel.service, channel.shown_url = check_url(url)
        channel.url = url
        # Earlier failures concern the old URL; a worker that is still sending there will stop.
        channel.failures, channel.error, channel.failing_since = 0, "", None
        channel.not_before = channel.lease_until = None
    if not channel.url:
        raise ValidationError({"url": "Enter an Apprise URL."})
    before = Channel.objects.select_for_update().filter(pk=channel.pk).first()
    kept = DELIVERYS if url else (*DELIVERYS, "lease_until", *STATE)
    columns = [field.name for field in Channel._meta.concrete_fields if not field.primary_key]
    channel.save(update_fields=[name for name in columns if name not in kept] if before else None)
    if before and (url or not channel.enabled or before.name != channel.name):
        _end_alert(before, "The channel was changed.")
    if url:
        audit.record("channel.url_changed", actor=actor, target=channel, data={"shown": channel.shown_url})  # fmt: skip
    if not channel.enabled:
        _withhold_waiting(channel)
    return channel


@transaction.atomic
def delete(channel: Channel, *, actor: Any) -> None:
    """Delete a channel; its log is kept, with its name. Raises ValidationError for a managed one."""
    if channel.managed:
        raise ValidationError("This channel is set by NOTIFY_URLS. Remove it there.")
    _withhold_waiting(channel)
    _end_alert(channel, "The channel was deleted.")
    channel.delete()


def _end_alert(channel: Channel, reason: str) -> None:
    """Clear the alert about a failing channel, because it no longer fails or is no longer used."""
    clear_alert(alertname=ALERTNAME, labels={"channel": channel.name}, reason=reason)


def _withhold_waiting(channel: Channel) -> int:
    return channel.notifications.filter(outcome=Outcome.PENDING).update(
        outcome=Outcome.WITHHELD,
        reason=Reason.CHANNEL_OFF,
        finished_at=timezone.now(),
        next_attempt_at=None,
    )


def test(channel: Channel, *, actor: Any) -> Notification:
    """Send a real message now, and return its log row with a description of the provider's answer."""
    name = audit.actor_of(actor).name or "the portal"
    row = Notification(
        batch=f"test:{uuid.uuid4()}",
        channel=channel,
        channel_name=channel.name,
        kind=Kind.TEST,
        reason=Reason.TEST,
        subject=f"[TEST] Channel {channel.name} of the DevOps Portal",
        body=f"This is a test message sent by {name}. No action is needed.",
        attempts=1,
    )
    attempt = sender.send(
        channel.url,
        title=row.subject,
        body=row.body,
        firing=True,
        key=row.batch,
        timeout_seconds=channel.timeout_seconds,
    )
    verdict = attempts.judge(attempt, now=timezone.now())
    row.outcome = Outcome.SENT if verdict.delivered else Outcome.FAILED
    row.answer, row.duration_seconds = verdict.sentence, round(attempt.seconds, 3)
    row.finished_at = timezone.now()
    row.save()
    audit.record(
        "channel.tested" if verdict.delivered else "channel.test_failed",
        actor=actor,
        target=channel,
        outcome="success" if verdict.delivered else "failure",
        reason=verdict.sentence,
    )
    return row


@transaction.atomic
def send_again(notifications: Iterable[Notification], *, actor: Any) -> int:
    """Requeue failed messages; return how many."""
    done = 0
    now = timezone.now()
    for row in notifications:
        if row.kind == Kind.DIGEST and _has_open_digest(row):
            continue  # the waiting digest will be sent; the messages of the failed one are in the log
        failed = Notification.objects.filter(
            pk=row.pk, outcome=Outcome.FAILED, channel__enabled=True
        ).exclude(kind=Kind.TEST)
        if failed.update(
            outcome=Outcome.PENDING,
            next_attempt_at=now,
            queued_at=now,
            attempts=0,
            finished_at=None,
        ):
            audit.record("notification.requeued", actor=actor, target=row)
            done += 1
    return done


def _has_open_digest(row: Notification) -> bool:
    waiting = Notification.objects.filter(kind=Kind.DIGEST, outcome=Outcome.PENDING)
    return waiting.filter(channel=row.channel_id).exists()
