"""Models for issues of a Sentry with their transitions, hourly event counts, and the state of polls."""

from datetime import datetime, timedelta
from typing import Any, NoReturn

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils import timezone

from portal.core.models import Service, Upstream

RECENT = timedelta(hours=24)


class IssueStatus(models.TextChoices):
    UNRESOLVED = "unresolved", "Unresolved"
    RESOLVED = "resolved", "Resolved"
    IGNORED = "ignored", "Ignored"


class IssueSource(models.TextChoices):
    """How the portal learned of a transition."""

    POLL = "poll", "Poll"
    USER = "user", "User"
    DEMO = "demo", "Demonstration data"


class IssueTransitionKind(models.TextChoices):
    NEW = "new", "New"
    REGRESSED = "regressed", "Regressed"
    REOPENED = "reopened", "Reopened"
    RESOLVED = "resolved", "Resolved"
    IGNORED = "ignored", "Ignored"
    ASSIGNED = "assigned", "Assigned"
    UNASSIGNED = "unassigned", "Assigned to nobody"
    GONE = "gone", "Gone from Sentry"
    RETURNED = "returned", "Listed again"


class ErrorIssueQuerySet(models.QuerySet["ErrorIssue"]):
    def unresolved(self) -> "ErrorIssueQuerySet":
        """Return issues that still need attention, with the condition of the partial indexes."""
        return self.filter(status=IssueStatus.UNRESOLVED, gone_at__isnull=True)

    def new(self, *, at: datetime) -> "ErrorIssueQuerySet":
        return self.unresolved().filter(first_seen_at__gt=at - RECENT)

    def regressed(self, *, at: datetime) -> "ErrorIssueQuerySet":
        return self.unresolved().filter(regressed_at__gt=at - RECENT)


class ErrorIssue(models.Model):
    """One issue, as Sentry groups events; its identity is (upstream, issue_id).

    The row is written only when its data in the list has changed. `gone_at` is set when the server
    answered that it no longer has the issue, because it was deleted or merged into another one.
    """

    Status = IssueStatus

    upstream = models.ForeignKey(Upstream, on_delete=models.PROTECT, related_name="error_issues")
    service = models.ForeignKey(
        Service, null=True, blank=True, on_delete=models.SET_NULL, related_name="error_issues"
    )
    issue_id = models.CharField(max_length=64)
    short_id = models.CharField(max_length=100, blank=True, default="")
    project = models.CharField(max_length=200)
    title = models.CharField(max_length=500)
    culprit = models.CharField(max_length=500, blank=True, default="")
    level = models.CharField(max_length=20, blank=True, default="")
    platform = models.CharField(max_length=50, blank=True, default="")
    status = models.CharField(max_length=12, choices=IssueStatus.choices)
    substatus = models.CharField(
        max_length=40,
        blank=True,
        default="",
        help_text="Sentry's substatus: new, regressed, ongoing …",
    )
    count = models.BigIntegerField(default=0)
    user_count = models.BigIntegerField(default=0)
    assigned_to = models.CharField(max_length=200, blank=True, default="")
    permalink = models.TextField(blank=True, default="")
    trend = models.JSONField(default=list, help_text="[[Unix seconds, events], …] of Sentry's list")
    raw = models.JSONField(default=dict, help_text="What the list said of it")
    content_hash = models.BinaryField(max_length=16)
    raw_hash = models.BinaryField(
        max_length=16,
        default=b"",
        help_text="Of the item as sent: the same bytes are not even decoded.",
    )
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    regressed_at = models.DateTimeField(null=True, blank=True)
    gone_at = models.DateTimeField(null=True, blank=True)
    missing_since = models.DateTimeField(
        null=True, blank=True, help_text="The whole list lacked it; the server is yet to be asked."
    )
    checked_at = models.DateTimeField(
        null=True, blank=True, help_text="When the server was last asked for this one issue."
    )
    written_at = models.DateTimeField(
        null=True, blank=True, help_text="When somebody last changed it through the portal."
    )

    objects = ErrorIssueQuerySet.as_manager()

    class Meta:
        ordering = ("-last_seen_at", "-id")
        verbose_name = "error"
        default_permissions = ("view", "change")
        constraints = (
            models.CheckConstraint(
                condition=Q(status__in=IssueStatus.values), name="error_issue_status_known"
            ),
            models.UniqueConstraint(
                fields=["upstream", "issue_id"], name="error_issue_once_per_upstream"
            ),
        )
        indexes = (
            # The list of all, newest first, and ?since=.
            models.Index(fields=["-last_seen_at", "-id"], name="error_issue_newest"),
            # Default list, dashboard, ?status=unresolved. Few rows, however long the history.
            models.Index(
                fields=["-last_seen_at", "-id"],
                name="error_issue_unresolved",
                condition=Q(status="unresolved", gone_at__isnull=True),
            ),
            # Counts of new ones.
            models.Index(
                fields=["-first_seen_at"],
                name="error_issue_new",
                condition=Q(status="unresolved", gone_at__isnull=True),
            ),
            # Counts of regressed ones.
            models.Index(
                fields=["-regressed_at"],
                name="error_issue_regressed",
                condition=Q(status="unresolved", gone_at__isnull=True, regressed_at__isnull=False),
            ),
            # Those to request from the server one by one.
            models.Index(
                fields=["upstream", "missing_since"],
                name="error_issue_missing",
                condition=Q(missing_since__isnull=False),
            ),
            # ?project= and the admin's filter.
            models.Index(fields=["project", "-last_seen_at"], name="error_issue_by_project"),
            # A service's errors.
            models.Index(fields=["service", "-last_seen_at"], name="error_issue_by_service"),
            # ?assigned_to=; partial, because most are unassigned.
            models.Index(
                fields=["assigned_to", "-last_seen_at"],
                name="error_issue_by_assignee",
                condition=~Q(assigned_to=""),
            ),
            # ?substatus=
            models.Index(fields=["substatus", "-last_seen_at"], name="error_issue_by_substatus"),
            # ?level= and the admin's filter.
            models.Index(fields=["level", "-last_seen_at"], name="error_issue_by_level"),
            # ?issue_id= without its Sentry.
            models.Index(fields=["issue_id"], name="error_issue_by_id"),
        )

    def __str__(self) -> str:
        return self.short_id or f"{self.project} {self.issue_id}"

    def get_absolute_url(self) -> str:
        return reverse("admin:monitoring_errorissue_change", args=[self.pk])

    def is_new(self, *, at: datetime) -> bool:
        return self.status == IssueStatus.UNRESOLVED and self.first_seen_at > at - RECENT

    def is_regressed(self, *, at: datetime) -> bool:
        return (
            self.status == IssueStatus.UNRESOLVED
            and self.regressed_at is not None
            and self.regressed_at > at - RECENT
        )


class ErrorTransition(models.Model):
    """One change of an issue's state. Append-only."""

    issue = models.ForeignKey(ErrorIssue, on_delete=models.CASCADE, related_name="transitions")
    service = models.ForeignKey(
        Service, null=True, on_delete=models.SET_NULL, related_name="+", help_text="As it was then."
    )
    kind = models.CharField(max_length=12, choices=IssueTransitionKind.choices)
    at = models.DateTimeField()
    recorded_at = models.DateTimeField(default=timezone.now)
    source = models.CharField(max_length=10, choices=IssueSource.choices)
    actor = models.CharField(max_length=200, blank=True, default="")
    text = models.TextField(blank=True, default="")

    class Meta:
        ordering = ("-at", "-id")
        default_permissions = ("view",)
        constraints = (
            models.CheckConstraint(
                condition=Q(kind__in=IssueTransitionKind.values),
                name="error_transition_kind_known",
            ),
        )
        indexes = (
            # The history on an issue's page.
            models.Index(fields=["issue", "at"], name="error_transition_of_issue"),
            # Recent changes, over all issues.
            models.Index(fields=["-at", "-id"], name="error_transition_newest"),
            # The timeline of one service.
            models.Index(fields=["service", "-at"], name="error_transition_of_service"),
        )

    def __str__(self) -> str:
        return f"{self.issue} {self.kind}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError("Transitions of errors are append-only.")
        super().save(*args, **kwargs)

    def delete(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise TypeError("Transitions of errors are append-only.")


class ErrorTally(models.Model):
    """Events in one hour, as seen by polls: how much the counts of issues grew since the previous poll.

    Counted here, because not every server provides statistics, and this needs no further request.
    """

    upstream = models.ForeignKey(Upstream, on_delete=models.CASCADE, related_name="+")
    project = models.CharField(max_length=200)
    service = models.ForeignKey(Service, null=True, on_delete=models.CASCADE, related_name="+")
    hour = models.DateTimeField()
    events = models.BigIntegerField(default=0)

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(
                F("hour"),
                F("upstream"),
                F("project"),
                Coalesce("service", 0),
                name="error_tally_once",
            ),
        )

    def __str__(self) -> str:
        return f"{self.project} {self.hour:%Y-%m-%d %H}h: {self.events}"


class ErrorSync(models.Model):
    """How far the polls of one Sentry have read, so that a long list can take several polls."""

    upstream = models.OneToOneField(
        Upstream, primary_key=True, on_delete=models.CASCADE, related_name="error_sync"
    )
    sort = models.CharField(max_length=20, default="date", help_text="The order this server knows.")
    newest_seen_at = models.DateTimeField(null=True, help_text="Up to here, nothing is missed.")
    full_started_at = models.DateTimeField(null=True, help_text="Set while the whole list is read.")
    full_completed_at = models.DateTimeField(null=True)
    full_cursor = models.TextField(blank=True, default="", help_text="Query of the next page.")
    catalogue = models.CharField(
        max_length=40,
        blank=True,
        default="",
        help_text="Services and options the rows were judged by.",
    )
    full_seen = ArrayField(models.CharField(max_length=64), default=list)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.upstream} up to {self.newest_seen_at}"
