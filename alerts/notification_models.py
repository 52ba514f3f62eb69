"""Models for notifications: the alert groups that routes form, and the delivery log."""

from datetime import datetime

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from alerts.route_models import Channel as Channel
from alerts.route_models import Route as Route
from alerts.route_models import load_rules as load_rules
from alerts.routing import REASON_TEXTS, Reason

REASONS = [(reason.value, REASON_TEXTS[reason]) for reason in Reason]


class NotificationGroup(models.Model):
    """Alerts that share a message: one set of group labels on one route, and what was last sent about it."""

    route = models.ForeignKey(Route, on_delete=models.CASCADE, related_name="groups")
    key = models.CharField(max_length=32)
    labels = models.JSONField(default=dict)
    flush = models.PositiveIntegerField(default=0, help_text="How often it was evaluated.")
    flushed_at = models.DateTimeField(null=True, help_text="When a message about it was last sent.")
    next_flush_at = models.DateTimeField(null=True)
    told = models.JSONField(
        default=dict,
        help_text="Per channel: when, and which alerts were reported as firing and as resolved.",
    )

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(fields=["route", "key"], name="notification_group_once"),
        )
        indexes = (
            # The tick: groups that are due.
            models.Index(
                fields=["next_flush_at"], name="notification_group_due",
                condition=Q(next_flush_at__isnull=False),
            ),
        )  # fmt: skip

    def __str__(self) -> str:
        return ", ".join(f"{k}={v}" for k, v in self.labels.items()) or "everything"


class GroupMember(models.Model):
    """An alert in a group, with its transitions that no flush has handled yet."""

    group = models.ForeignKey(NotificationGroup, on_delete=models.CASCADE, related_name="members")
    alert = models.ForeignKey("alerts.Alert", on_delete=models.CASCADE, related_name="+")
    transitions = ArrayField(models.BigIntegerField(), default=list)

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(fields=["group", "alert"], name="group_member_once"),
        )

    def __str__(self) -> str:
        return f"{self.alert_id} in {self.group_id}"


class Outcome(models.TextChoices):
    PENDING = "pending", "Waiting"
    SENT = "sent", "Sent"
    FAILED = "failed", "Failed"
    WITHHELD = "withheld", "Withheld"


class Kind(models.TextChoices):
    MESSAGE = "message", "Message"
    DIGEST = "digest", "Digest"
    TEST = "test", "Test"


class NotificationQuerySet(models.QuerySet["Notification"]):
    def waiting(self, *, at: datetime) -> "NotificationQuerySet":
        return self.filter(outcome=Outcome.PENDING, next_attempt_at__lte=at)

    def about(self, alert_id: int) -> "NotificationQuerySet":
        return self.filter(alert_ids__contains=[alert_id])


class Notification(models.Model):
    """One message to one channel, sent or not; the rows are both the delivery queue and its log."""

    batch = models.CharField(
        max_length=100,
        help_text="What it is about: an evaluation of a group, or a batch of transitions.",
    )
    channel = models.ForeignKey(
        Channel, null=True, blank=True, on_delete=models.SET_NULL, related_name="notifications"
    )
    channel_name = models.CharField(max_length=50, blank=True, default="")
    route = models.ForeignKey(
        Route, null=True, blank=True, on_delete=models.SET_NULL, related_name="notifications"
    )
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.MESSAGE)
    outcome = models.CharField(max_length=10, choices=Outcome.choices)
    reason = models.CharField(max_length=20, choices=REASONS)
    subject = models.CharField(max_length=300, blank=True, default="")
    body = models.TextField(blank=True, default="")
    firing = models.PositiveIntegerField(default=0)
    resolved = models.PositiveIntegerField(default=0)
    alert_ids = ArrayField(models.BigIntegerField(), default=list)
    transition_ids = ArrayField(models.BigIntegerField(), default=list)
    digest = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="held"
    )
    created_at = models.DateTimeField(default=timezone.now)
    queued_at = models.DateTimeField(
        default=timezone.now, help_text="Later than its creation when it was sent again by hand."
    )
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    answer = models.TextField(blank=True, default="", help_text="Result of the last attempt.")
    finished_at = models.DateTimeField(null=True, blank=True)
    duration_seconds = models.FloatField(null=True, blank=True)

    objects = NotificationQuerySet.as_manager()

    class Meta:
        ordering = ("-id",)
        verbose_name, verbose_name_plural = "delivery", "deliveries"
        default_permissions = ("view",)
        constraints = (
            # One flush of a group creates at most one message per channel, even if it is repeated.
            models.UniqueConstraint(fields=["batch", "channel"], name="notification_once"),
            models.CheckConstraint(
                condition=Q(outcome__in=Outcome.values), name="notification_outcome_known"
            ),
            models.CheckConstraint(
                condition=Q(reason__in=[reason.value for reason in Reason]),
                name="notification_reason_known",
            ),
            models.CheckConstraint(condition=Q(kind__in=Kind.values), name="notification_kind_known"),
            models.UniqueConstraint(
                fields=["channel"], name="notification_one_open_digest",
                condition=Q(kind="digest", outcome="pending"),
            ),
        )  # fmt: skip
        indexes = (
            # The queue of a channel, oldest first.
            models.Index(
                fields=["channel", "id"], name="notification_waiting", condition=Q(outcome="pending")
            ),
            # The storm budget: messages sent to a channel within the window.
            models.Index(
                fields=["channel", "finished_at"], name="notification_sent", condition=Q(outcome="sent")
            ),
            # The log, filtered by outcome or channel, newest first.
            models.Index(fields=["outcome", "-id"], name="notification_by_outcome"),
            models.Index(fields=["channel", "-id"], name="notification_by_channel"),
            models.Index(fields=["-created_at"], name="notification_by_time"),
            # All messages about one alert.
            GinIndex(fields=["alert_ids"], name="notification_alerts"),
        )  # fmt: skip

    def __str__(self) -> str:
        return self.subject or f"{self.get_outcome_display()}: {REASON_TEXTS.get(self.reason, '')}"

    def get_absolute_url(self) -> str:
        return reverse("admin:alerts_notification_change", args=[self.pk])
