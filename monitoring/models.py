"""Scrape targets, the status of services with its changes, and chart panels."""

from datetime import datetime
from typing import Any, NoReturn

from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from monitoring.errors.models import ErrorIssue as ErrorIssue
from monitoring.errors.models import ErrorSync as ErrorSync
from monitoring.errors.models import ErrorTally as ErrorTally
from monitoring.errors.models import ErrorTransition as ErrorTransition
from portal.core.models import Freshness, Service, Upstream


class Status(models.TextChoices):
    UP = "up", "Up"
    DEGRADED = "degraded", "Degraded"
    DOWN = "down", "Down"
    UNKNOWN = "unknown", "Unknown"


class Health(models.TextChoices):
    """Prometheus's words for a target."""

    UP = "up", "Up"
    DOWN = "down", "Down"
    UNKNOWN = "unknown", "Unknown"


class Target(models.Model):
    """A scrape target as its Prometheus sees it; written only when something about it changes."""

    upstream = models.ForeignKey(Upstream, on_delete=models.CASCADE, related_name="targets")
    service = models.ForeignKey(
        Service, null=True, on_delete=models.SET_NULL, related_name="targets"
    )
    job = models.CharField(max_length=200)
    instance = models.CharField(max_length=500)
    scrape_url = models.TextField()
    labels = models.JSONField(default=dict)
    health = models.CharField(max_length=10, choices=Health.choices)
    error = models.TextField(blank=True, default="")
    changed_at = models.DateTimeField()

    class Meta:
        ordering = ("job", "instance")
        default_permissions = ("view",)
        constraints = (
            models.CheckConstraint(
                condition=Q(health__in=Health.values), name="target_health_known"
            ),
            models.UniqueConstraint(
                fields=["upstream", "job", "scrape_url"], name="target_once_per_upstream"
            ),
        )

    def __str__(self) -> str:
        return f"{self.job} {self.instance}"


class ServiceStatus(models.Model):
    """The current status of a service, and the evidence for it."""

    service = models.OneToOneField(
        Service, primary_key=True, on_delete=models.CASCADE, related_name="status"
    )
    upstream = models.ForeignKey(
        Upstream, on_delete=models.CASCADE, related_name="+", help_text="Who says so."
    )
    status = models.CharField(max_length=10, choices=Status.choices)
    reason = models.TextField(blank=True, default="")
    since = models.DateTimeField()
    targets_up = models.PositiveIntegerField(default=0)
    targets_down = models.PositiveIntegerField(default=0)

    class Meta:
        default_permissions = ("view",)
        verbose_name_plural = "service statuses"
        constraints = (
            models.CheckConstraint(
                condition=Q(status__in=Status.values), name="service_status_known"
            ),
        )

    def __str__(self) -> str:
        return f"{self.service} is {self.status}"

    def shown(self, *, at: datetime) -> tuple[str, str]:
        """Return status and reason as far as they can be known at `at`: unknown when the source is blind."""
        freshness = self.upstream.freshness(at=at)
        if freshness == Freshness.LIVE:
            return self.status, self.reason
        return (
            Status.UNKNOWN,
            f"{self.upstream.name} is {freshness}; the last known status was {self.status}.",
        )


class StatusChange(models.Model):
    """One flip of a service's status. Append-only."""

    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="status_changes")
    old_status = models.CharField(max_length=10, choices=Status.choices, blank=True, default="")
    new_status = models.CharField(max_length=10, choices=Status.choices)
    reason = models.TextField(blank=True, default="")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ("-at", "-id")
        default_permissions = ("view",)
        indexes = (
            # The history on a service's page.
            models.Index(fields=["service", "-at"], name="status_change_of_service"),
        )

    def __str__(self) -> str:
        return f"{self.old_status or 'new'} → {self.new_status}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError("Status changes are append-only.")
        super().save(*args, **kwargs)

    def delete(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise TypeError("Status changes are append-only.")


class Unit(models.TextChoices):
    """How values are written on axis and legend."""

    NUMBER = "number", "Number"
    PERCENT = "percent", "Percent (0–100)"
    RATIO = "ratio", "Ratio (0–1, shown as percent)"
    BYTES = "bytes", "Bytes"
    SECONDS = "seconds", "Seconds"
    PER_SECOND = "per_second", "Per second"


class Panel(models.Model):
    """A chart: a PromQL expression and how to draw it."""

    Unit = Unit

    slug = models.SlugField(unique=True)
    title = models.CharField(max_length=120)
    description = models.CharField(max_length=300, blank=True)
    upstream = models.ForeignKey(
        Upstream,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="panels",
        limit_choices_to={"kind": Upstream.Kind.PROMETHEUS},
        help_text="Empty: the first enabled Prometheus.",
    )
    promql = models.TextField("PromQL", max_length=4000)
    legend = models.CharField(
        max_length=200, blank=True, help_text="For example {{instance}}; empty: all labels."
    )
    unit = models.CharField(max_length=20, choices=Unit.choices, default=Unit.NUMBER)
    warning_above = models.FloatField(null=True, blank=True)
    critical_above = models.FloatField(null=True, blank=True)
    alert_matchers = models.JSONField(
        blank=True,
        default=list,
        help_text='Episodes to shade on the chart, for example ["alertname=~\\".*CPU.*\\""].',
    )
    position = models.PositiveSmallIntegerField(default=100)
    on_dashboard = models.BooleanField(default=True)

    class Meta:
        ordering = ("position", "id")
        verbose_name = "chart"
        constraints = (
            models.CheckConstraint(condition=Q(unit__in=Unit.values), name="panel_unit_known"),
        )

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return reverse("admin:monitoring_panel_change", args=[self.pk])
