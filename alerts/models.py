"""Models for alert episodes and their transitions; also imports the app's other models for Django."""

from datetime import datetime
from typing import Any, NoReturn

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from alerts import notification_models  # noqa: F401 - Django finds models through this module
from alerts.hook_models import HookDelivery as HookDelivery
from alerts.silence_models import Silence as Silence
from alerts.silence_models import SilenceQuerySet as SilenceQuerySet
from portal.core.models import Service, Upstream


class State(models.TextChoices):
    FIRING = "firing", "Firing"
    SUPPRESSED = "suppressed", "Suppressed"
    RESOLVED = "resolved", "Resolved"


class Source(models.TextChoices):
    """How the portal learned of a transition."""

    POLL = "poll", "Poll"
    WEBHOOK = "webhook", "Webhook"
    USER = "user", "User"
    PORTAL = "portal", "The portal"
    DEMO = "demo", "Demonstration data"


class TransitionKind(models.TextChoices):
    OPENED = "opened", "Opened"
    REOPENED = "reopened", "Reopened"
    SUPPRESSED = "suppressed", "Suppressed"
    UNSUPPRESSED = "unsuppressed", "No longer suppressed"
    RESOLVED = "resolved", "Resolved"
    ACKNOWLEDGED = "acknowledged", "Acknowledged"
    UNACKNOWLEDGED = "unacknowledged", "Acknowledgement withdrawn"
    ASSIGNED = "assigned", "Assigned"
    COMMENTED = "commented", "Commented"
    SILENCED = "silenced", "Silenced"
    SEVERITY = "severity", "Severity changed"


class AlertQuerySet(models.QuerySet["Alert"]):
    def open(self) -> "AlertQuerySet":
        return self.exclude(state=State.RESOLVED)

    def firing(self) -> "AlertQuerySet":
        return self.filter(state=State.FIRING)

    def overlapping(self, start: datetime, end: datetime) -> "AlertQuerySet":
        """Return episodes of which some part lies between `start` and `end`."""
        return self.filter(Q(ends_at__isnull=True) | Q(ends_at__gte=start), starts_at__lte=end)


class Alert(models.Model):
    """One episode of one alert: from its first firing until it is resolved.

    Its identity is (upstream, fingerprint), with at most one open episode. `ends_at` is the best known
    end; the real end lies between `resolved_after` (last seen) and `resolved_before` (first missed).
    """

    State = State

    upstream = models.ForeignKey(Upstream, on_delete=models.PROTECT, related_name="alerts")
    fingerprint = models.CharField(max_length=64)
    alertname = models.CharField(max_length=300)
    severity = models.CharField(max_length=50, blank=True, default="")
    service = models.ForeignKey(
        Service, null=True, blank=True, on_delete=models.SET_NULL, related_name="alerts"
    )
    state = models.CharField(max_length=10, choices=State.choices, default=State.FIRING)
    labels = models.JSONField(default=dict)
    annotations = models.JSONField(default=dict)
    receivers = ArrayField(models.CharField(max_length=200), default=list)
    generator_url = models.TextField(blank=True, default="")
    content_hash = models.BinaryField(max_length=16)

    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True)
    resolved_after = models.DateTimeField(null=True, blank=True)
    resolved_before = models.DateTimeField(null=True, blank=True)
    first_seen_at = models.DateTimeField()
    missing_since = models.DateTimeField(
        null=True, blank=True, help_text="Time of the first successful poll that did not list it."
    )
    last_listed_at = models.DateTimeField(
        null=True, blank=True, help_text="Last seen, once it is missing or closed."
    )
    refreshed_at = models.DateTimeField(
        null=True, blank=True, help_text="The upstream's updatedAt when this row was last written."
    )
    expires_at = models.DateTimeField(
        null=True, blank=True, help_text="The upstream's endsAt when this row was last written."
    )
    closed_at = models.DateTimeField(null=True, blank=True, help_text="When the portal closed it.")
    closed_by = models.CharField(max_length=10, choices=Source.choices, blank=True, default="")
    silenced_by = ArrayField(models.CharField(max_length=64), default=list)
    inhibited_by = ArrayField(models.CharField(max_length=64), default=list)

    acknowledged_by = models.CharField(max_length=150, blank=True, default="")
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    assigned_to = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="assigned_alerts",
    )

    objects = AlertQuerySet.as_manager()

    class Meta:
        ordering = ("-starts_at", "-id")
        default_permissions = ("view", "change")
        constraints = (
            models.CheckConstraint(condition=Q(state__in=State.values), name="alert_state_known"),
            models.UniqueConstraint(
                fields=["upstream", "fingerprint"],
                condition=~Q(state="resolved"),
                name="alert_one_open_episode",
            ),
            models.CheckConstraint(
                condition=Q(state="resolved", ends_at__isnull=False)
                | (~Q(state="resolved") & Q(ends_at__isnull=True)),
                name="alert_ends_when_resolved",
            ),
        )
        indexes = (
            # The desk and the API's list, newest first, all states.
            models.Index(fields=["-starts_at", "-id"], name="alert_newest"),
            # Dashboard and default desk filter: open alerts by severity. Few rows, however long the history.
            models.Index(
                fields=["severity", "-starts_at"], name="alert_open", condition=~Q(state="resolved")
            ),
            # "History of this rule" on the detail page, and ?alertname=.
            models.Index(fields=["alertname", "-starts_at"], name="alert_by_name"),
            # A service's alerts.
            models.Index(fields=["service", "-starts_at"], name="alert_by_service"),
            # Re-firing within 60 s of a close: the last episodes of given fingerprints.
            models.Index(fields=["upstream", "fingerprint", "-ends_at"], name="alert_last_episode"),
            # A service's episodes that ended, in its timeline.
            models.Index(
                fields=["service", "-ends_at"],
                name="alert_ended_by_service",
                condition=Q(state="resolved"),
            ),
            # Closed episodes of a chart's time range, and ?since=.
            models.Index(fields=["-ends_at"], name="alert_by_end", condition=Q(state="resolved")),
            # ?label= filters: labels @> {...}.
            GinIndex(
                fields=["labels"],
                name="alert_labels",
                opclasses=["jsonb_path_ops"],
                fastupdate=True,
            ),
        )

    def __str__(self) -> str:
        return self.alertname

    def get_absolute_url(self) -> str:
        return reverse("admin:alerts_alert_change", args=[self.pk])

    @property
    def is_open(self) -> bool:
        return self.state != State.RESOLVED

    @property
    def summary(self) -> str:
        return str(self.annotations.get("summary") or self.annotations.get("description") or "")

    @property
    def runbook_url(self) -> str:
        """Return the alert's own runbook, else the service's; only http(s) URLs are returned."""
        url = str(
            self.annotations.get("runbook_url")
            or (self.service.runbook_url if self.service else "")
        )
        return url if url.startswith(("https://", "http://")) else ""

    @property
    def last_seen_at(self) -> datetime | None:
        """Return when the upstream last listed it; for one that is still listed, the last successful poll."""
        if self.last_listed_at:
            return self.last_listed_at
        return max(self.first_seen_at, self.upstream.succeeded_at or self.first_seen_at)


class Transition(models.Model):
    """One change in an episode, with who or what caused it. Append-only."""

    Kind = TransitionKind

    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="transitions")
    kind = models.CharField(max_length=20, choices=TransitionKind.choices)
    at = models.DateTimeField(help_text="When it happened, as exactly as is known.")
    recorded_at = models.DateTimeField(default=timezone.now)
    source = models.CharField(max_length=10, choices=Source.choices)
    actor = models.CharField(max_length=200, blank=True, default="")
    text = models.TextField(blank=True, default="")
    data = models.JSONField(default=dict)
    routed_at = models.DateTimeField(
        null=True, editable=False, help_text="When it was routed; empty while it is waiting."
    )

    class Meta:
        ordering = ("at", "id")
        default_permissions = ("view",)
        constraints = (
            models.CheckConstraint(
                condition=Q(kind__in=TransitionKind.values), name="transition_kind_known"
            ),
            models.CheckConstraint(
                condition=Q(source__in=Source.values), name="transition_source_known"
            ),
        )
        indexes = (
            # The queue of routing. Rows are claimed, because a cursor over ids would skip late commits.
            models.Index(
                fields=["id"], name="transition_unrouted", condition=Q(routed_at__isnull=True)
            ),
        )
        # The foreign key's index serves the detail page: all transitions of one episode.

    def __str__(self) -> str:
        return self.get_kind_display()

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError("Transitions are append-only.")
        super().save(*args, **kwargs)

    def delete(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise TypeError("Transitions are append-only.")
