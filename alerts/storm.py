"""Enforces the storm budget: a channel gets a limited number of messages per window, the rest become one digest.

Messages over the budget stay in the log as withheld, with a reference to the digest that counts them.
"""

from datetime import datetime, timedelta
from urllib.parse import urlencode

from django.db import transaction
from django.db.models import QuerySet
from django.urls import reverse

from alerts import messages, routing
from alerts.messages import WithheldMessage
from alerts.notification_models import Channel, Kind, Notification, Outcome
from alerts.routing import Budget, Reason
from alerts.wording import link


def messages_to_send(channel: Channel, *, at: datetime, limit: int) -> list[Notification]:
    """Return the messages that may be sent now, oldest first; those over the budget are withheld."""
    waiting = channel.notifications.waiting(at=at).order_by("id")
    digest = channel.notifications.filter(kind=Kind.DIGEST, outcome=Outcome.PENDING).first()
    if digest is not None:
        _withhold(channel, digest, at)
        is_due = digest.next_attempt_at is not None and digest.next_attempt_at <= at
        return [digest] if is_due else []
    budget = Budget(channel.budget_messages, timedelta(seconds=channel.budget_seconds))
    sent = _sent_between(channel, at - budget.window, at)
    used = sent[: budget.messages].count()
    if used >= budget.messages:
        recent = [when for when in sent[: budget.messages] if when]
        if waiting.exists():
            again_at = routing.room_at(budget, recent, at) or at
            _withhold(channel, _open_digest(channel, again_at, at), at)
        return []
    return list(waiting[: min(limit, budget.messages - used)])


def _sent_between(
    channel: Channel, since: datetime, until: datetime
) -> QuerySet[Notification, datetime | None]:
    """Return when messages were sent, newest first. Times after `until`, from a clock that ran ahead, do not count."""
    sent = channel.notifications.filter(
        outcome=Outcome.SENT, finished_at__gt=since, finished_at__lte=until
    )
    return (
        sent.exclude(kind=Kind.TEST).order_by("-finished_at").values_list("finished_at", flat=True)
    )


def _open_digest(channel: Channel, due: datetime, at: datetime) -> Notification:
    """Create the digest that will count withheld messages; a constraint allows one pending per channel."""
    return Notification.objects.create(
        batch=f"digest:{at.isoformat()}",
        channel=channel,
        channel_name=channel.name,
        kind=Kind.DIGEST,
        outcome=Outcome.PENDING,
        reason=Reason.DIGEST,
        subject=f"Digest for {channel.name}",
        created_at=at,
        next_attempt_at=due,
    )


@transaction.atomic
def _withhold(channel: Channel, digest: Notification, at: datetime) -> int:
    """Mark the waiting messages as withheld, and link them to the digest."""
    waiting = channel.notifications.waiting(at=at).filter(kind=Kind.MESSAGE)
    return waiting.update(
        outcome=Outcome.WITHHELD,
        reason=Reason.STORM,
        digest=digest,
        finished_at=at,
        next_attempt_at=None,
    )


def compose(channel: Channel, digest: Notification) -> None:
    """Write subject and body of the digest from the messages withheld so far."""
    rows = digest.held.order_by("id").values_list("subject", "firing", "resolved")
    withheld = [WithheldMessage(*row) for row in rows]
    query = urlencode({"digest__id__exact": digest.pk})
    url = link(f"{reverse('admin:alerts_notification_changelist')}?{query}")
    minutes = channel.budget_seconds / 60
    budget = f"{channel.budget_messages} messages in {minutes:g} minutes"
    digest.subject, digest.body = messages.digest(withheld, budget=budget, url=url)
    digest.firing = sum(message.firing for message in withheld)
    digest.resolved = sum(message.resolved for message in withheld)
    digest.save(update_fields=["subject", "body", "firing", "resolved"])
