"""Models for scrape targets, the status of services and its changes, and chart panels."""

from datetime import datetime
from typing import Any, NoReturn

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from monitoring.checks.models import Check as Check
from monitoring.checks.models import CheckHour as CheckHour
from monitoring.checks.models import CheckKind as CheckKind
from monitoring.choices import Health as Health
from monitoring.choices import Status as Status
from monitoring.deploy_models import Deploy as Deploy
from monitoring.discovery.models import ScrapeTarget as ScrapeTarget
from monitoring.errors.models import ErrorIssue as ErrorIssue
from monitoring.errors.models import ErrorSync as ErrorSync
from monitoring.errors.models import ErrorTally as ErrorTally
from monitoring.errors.models import ErrorTransition as ErrorTransition
from monitoring.logs.models import SavedSearch as SavedSearch
from monitoring.rules.models import LoadedState as LoadedState
from monitoring.rules.models import Rule as Rule
from monitoring.status_parts import Part, combine
from portal.core.models import Service, Upstream


class Target(models.Model):
    """A scrape target as Prometheus reports it; written only when something about it changes."""

    upstream = models.ForeignKey(Upstream, on_delete=models.CASCADE, related_name="targets")
    service = models.ForeignKey(
        Service, null=True, on_delete=models.SET_NULL, related_name="targets"
    )
    job = models.CharField(max_length=200)
    instance = models.CharField(max_length=500)
    scrape_url = models.TextField("scrape URL")
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
    """The current status of a service, and the two parts it is combined from: its targets and its checks.

    A part without a source is empty. `checks_fresh_until` says how long the checks' part is valid.
    """

    service = models.OneToOneField(
        Service, primary_key=True, on_delete=models.CASCADE, related_name="status"
    )
    upstream = models.ForeignKey(
        Upstream,
        null=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="The Prometheus that reports its targets.",
    )
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.UNKNOWN)
    reason = models.TextField(blank=True, default="")
    since = models.DateTimeField()
    targets_status = models.CharField(max_length=10, choices=Status.choices, blank=True, default="")
    targets_reason = models.TextField(blank=True, default="")
    targets_up = models.PositiveIntegerField(default=0)
    targets_down = models.PositiveIntegerField(default=0)
    checks_status = models.CharField(max_length=10, choices=Status.choices, blank=True, default="")
    checks_reason = models.TextField(blank=True, default="")
    checks_fresh_until = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ("view",)
        verbose_name_plural = "service statuses"
        constraints = (
            models.CheckConstraint(
                condition=Q(status__in=Status.values), name="service_status_known"
            ),
            models.CheckConstraint(
                condition=Q(targets_status__in=["", *Status.values])
                & Q(checks_status__in=["", *Status.values]),
                name="service_status_parts_known",
            ),
        )

    def __str__(self) -> str:
        return f"{self.service} is {self.status}"

    @property
    def stored(self) -> list[Part]:
        """Return the parts as last observed."""
        return [
            Part(self.targets_status, self.targets_reason),
            Part(self.checks_status, self.checks_reason),
        ]

    def shown(self, *, at: datetime) -> tuple[str, str]:
        """Return status and reason as known at `at`; a part without current data is unknown."""
        targets, checks = self.stored
        if targets.status and self.upstream is None:
            targets = Part("unknown", "The Prometheus that watched its targets was removed.")
        elif (
            targets.status and self.upstream and (state := self.upstream.freshness(at=at)) != "live"
        ):
            last = f"the last known status was {targets.status}"
            targets = Part("unknown", f"{self.upstream.name} is {state}; {last}.")
        if checks.status and self.checks_fresh_until and self.checks_fresh_until < at:
            last = f"the last known status was {checks.status}"
            checks = Part("unknown", f"Its checks have not run in time; {last}.")
        return combine([targets, checks])


class StatusChange(models.Model):
    """One flip of the status of a service, or of one of its checks. Append-only."""

    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="status_changes")
    check_row = models.ForeignKey(
        "monitoring.Check",
        null=True,
        on_delete=models.CASCADE,
        related_name="changes",
        help_text="If empty, the service as a whole.",
    )
    old_status = models.CharField(max_length=10, choices=Status.choices, blank=True, default="")
    new_status = models.CharField(max_length=10, choices=Status.choices)
    reason = models.TextField(blank=True, default="")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ("-at", "-id")
        default_permissions = ("view",)
        indexes = (
            # The history on a service's page, and its uptime.
            models.Index(
                fields=["service", "-at"],
                name="status_change_of_service",
                condition=Q(check_row__isnull=True),
            ),
            # The history and the uptime of one check.
            models.Index(fields=["check_row", "-at"], name="status_change_of_check"),
            # The flips of all services, newest first.
            models.Index(
                fields=["-at", "-id"],
                name="status_change_newest",
                condition=Q(check_row__isnull=True),
            ),
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
    """How values are formatted on axis and legend."""

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

    def clean(self) -> None:
        warning, critical = self.warning_above, self.critical_above
        if warning is not None and critical is not None and critical < warning:
            said = (
                "The critical threshold is below the warning threshold. Make it at least as high."
            )
            raise ValidationError({"critical_above": said})

    def get_absolute_url(self) -> str:
        return reverse("admin:monitoring_panel_change", args=[self.pk])
