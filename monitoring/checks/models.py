"""Models for checks of services from outside: what to probe, how often, and the latest results."""

from datetime import datetime, timedelta
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from monitoring.checks.targets import TargetError, address_of, statuses_of, url_of
from monitoring.choices import Status
from portal.core.crypto import EncryptedJSONField
from portal.core.models import Service, Upstream
from portal.core.sockets import is_forbidden
from portal.core.validators import validate_pattern

OVERDUE_INTERVALS = 3
GRACE = timedelta(seconds=60)
FLIPS = (MinValueValidator(1), MaxValueValidator(100))


def validate_statuses(value: str) -> None:
    try:
        statuses_of(value)
    except TargetError as error:
        raise ValidationError(str(error)) from error


class CheckKind(models.TextChoices):
    HTTP = "http", "HTTP"
    TCP = "tcp", "TCP"
    TLS = "tls", "TLS certificate"
    PROMQL = "promql", "PromQL"


class Comparison(models.TextChoices):
    """The comparison that holds for every value of a PromQL result while the check is up."""

    GREATER = ">", "greater than"
    AT_LEAST = ">=", "at least"
    LESS = "<", "less than"
    AT_MOST = "<=", "at most"
    EQUAL = "==", "equal to"
    DIFFERENT = "!=", "different from"


class CheckQuerySet(models.QuerySet["Check"]):
    def enabled(self) -> "CheckQuerySet":
        return self.filter(enabled=True)

    def overdue(self, *, at: datetime) -> "CheckQuerySet":
        """Return checks that are a minute overdue, because the worker does not keep up or is not running."""
        return self.enabled().filter(next_run_at__lt=at - GRACE)


class Check(models.Model):
    """A probe of one service that runs every `interval_seconds`.

    Its status flips only after `failures_to_flip` results in a row, so that a single lost packet raises
    no alert. Only the runner writes the columns from `next_run_at` on.
    """

    Kind = CheckKind

    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="checks")
    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=10, choices=CheckKind.choices)
    target = models.CharField(
        max_length=2000,
        blank=True,
        help_text="HTTP: a URL. TCP and TLS: host:port.",
    )
    method = models.CharField(
        max_length=4, choices=[("GET", "GET"), ("HEAD", "HEAD")], default="GET"
    )
    expected_status = models.CharField(
        max_length=100,
        default="200-399",
        validators=[validate_statuses],
        help_text="HTTP statuses that count as up, for example 200-299, 401.",
    )
    body_pattern = models.CharField(
        max_length=500,
        blank=True,
        validators=[validate_pattern],
        help_text="A regular expression (RE2) that the first megabyte of the body must contain.",
    )
    follow_redirects = models.BooleanField(
        default=True, help_text="Only within the same host; a redirect to another host is an error."
    )
    verify_tls = models.BooleanField("Verify TLS", default=True)
    headers = EncryptedJSONField(blank=True, default=dict, editable=False)
    degraded_after_seconds = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(0.001)],
        help_text="A slower answer counts as degraded.",
    )
    expiry_warning_days = models.PositiveSmallIntegerField(
        default=21,
        validators=[MaxValueValidator(1000)],
        help_text="TLS: degraded if the certificate expires within this number of days.",
    )
    upstream = models.ForeignKey(
        Upstream,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="checks",
        limit_choices_to={"kind": Upstream.Kind.PROMETHEUS},
        help_text="PromQL: which Prometheus; empty: the first enabled one.",
    )
    promql = models.TextField("PromQL", blank=True, max_length=4000)
    comparison = models.CharField(
        max_length=2, choices=Comparison.choices, default=Comparison.GREATER
    )
    threshold = models.FloatField(
        default=0, help_text="PromQL: the check is up while every value satisfies this comparison."
    )

    enabled = models.BooleanField(default=True)
    interval_seconds = models.PositiveIntegerField(
        default=30, validators=[MinValueValidator(5), MaxValueValidator(86400)]
    )
    timeout_seconds = models.FloatField(
        default=10, validators=[MinValueValidator(0.1), MaxValueValidator(30)]
    )
    failures_to_flip = models.PositiveSmallIntegerField(
        default=3,
        validators=FLIPS,
        help_text="Number of consecutive results before the status gets worse.",
    )
    successes_to_recover = models.PositiveSmallIntegerField(
        default=1,
        validators=FLIPS,
        help_text="Number of consecutive results before the status gets better.",
    )
    severity = models.CharField(
        max_length=50, default="critical", help_text="Severity of the alert while it fails."
    )
    raises_alert = models.BooleanField(default=True)

    next_run_at = models.DateTimeField(default=timezone.now, editable=False)
    lease_until = models.DateTimeField(null=True, editable=False)
    last_run_at = models.DateTimeField(null=True, editable=False)
    status = models.CharField(
        max_length=10, choices=Status.choices, default=Status.UNKNOWN, editable=False
    )
    since = models.DateTimeField(default=timezone.now, editable=False)
    sentence = models.TextField(blank=True, default="", editable=False)
    latency_seconds = models.FloatField(null=True, editable=False)
    pending_count = models.PositiveSmallIntegerField(default=0, editable=False)
    certificate_ends_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = CheckQuerySet.as_manager()

    class Meta:
        ordering = ("service__slug", "name")
        constraints = (
            models.CheckConstraint(condition=Q(kind__in=CheckKind.values), name="check_kind_known"),
            models.CheckConstraint(
                condition=Q(status__in=Status.values), name="check_status_known"
            ),
            models.CheckConstraint(
                condition=Q(comparison__in=Comparison.values), name="check_comparison_known"
            ),
            models.CheckConstraint(
                condition=Q(interval_seconds__gte=5, interval_seconds__lte=86400),
                name="check_interval_5_s_to_a_day",
                violation_error_message="Choose an interval between 5 seconds and a day (86400).",
            ),
            models.CheckConstraint(
                condition=Q(timeout_seconds__gt=0, timeout_seconds__lte=30),
                name="check_timeout_up_to_30_s",
                violation_error_message="Choose a timeout of more than 0 and at most 30 seconds.",
            ),
            models.CheckConstraint(
                condition=Q(failures_to_flip__gte=1, successes_to_recover__gte=1),
                name="check_flips_after_at_least_one",
                violation_error_message="Enter at least 1: a status changes after one result at the earliest.",
            ),
            models.UniqueConstraint(fields=["service", "name"], name="check_name_in_service"),
        )
        indexes = (
            # The runner's claim, and CheckQuerySet.overdue().
            models.Index(fields=["next_run_at"], name="check_due", condition=Q(enabled=True)),
        )

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("admin:monitoring_check_change", args=[self.pk])

    def clean(self) -> None:
        """Reject a check that could never succeed, and say what to write instead."""
        try:
            if self.kind == CheckKind.HTTP:
                self.target = url_of(self.target)
            elif self.kind in (CheckKind.TCP, CheckKind.TLS):
                host, port = address_of(self.target)
                self.target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        except TargetError as error:
            raise ValidationError({"target": str(error)}) from error
        probes = (CheckKind.HTTP, CheckKind.TCP, CheckKind.TLS)
        if self.kind in probes and is_forbidden(urlsplit(self._address()).hostname or ""):
            said = "This is the address of a cloud metadata service, to which the portal never connects."
            raise ValidationError({"target": said})
        if self.kind == CheckKind.PROMQL and not self.promql.strip():
            raise ValidationError({"promql": 'Write an expression, for example up{job="api"}.'})
        if (self.degraded_after_seconds or 0) >= (self.timeout_seconds or 0) > 0:
            said = f"A check is given up after {self.timeout_seconds:g} s, its timeout. Choose a shorter time."
            raise ValidationError({"degraded_after_seconds": said})

    def _address(self) -> str:
        return self.target if self.kind == CheckKind.HTTP else f"//{self.target}"

    def shown(self, *, at: datetime) -> tuple[str, str]:
        """Return status and sentence as known at `at`: unknown if the last result is too old."""
        if not self.enabled:
            return Status.UNKNOWN, "This check is disabled."
        if self.last_run_at is None:
            return Status.UNKNOWN, "It has not run yet; the first run follows within seconds."
        if at > self.fresh_until:
            return Status.UNKNOWN, (
                f"It has not run since {self.last_run_at:%Y-%m-%d %H:%M:%S} UTC; its last known status was"
                f" {self.status}. Check that worker and beat are running."
            )
        return self.status, self.sentence

    @property
    def fresh_until(self) -> datetime:
        """Return until when the last result is valid."""
        last = self.last_run_at or self.created_at
        return last + timedelta(seconds=self.interval_seconds * OVERDUE_INTERVALS) + GRACE


class CheckHour(models.Model):
    """The results of a check in one hour: their number, and their latency in seconds."""

    check_row = models.ForeignKey(Check, on_delete=models.CASCADE, related_name="hours")
    hour = models.DateTimeField()
    runs = models.PositiveIntegerField()
    failures = models.PositiveIntegerField()
    latency_sum = models.FloatField()
    latency_max = models.FloatField()

    class Meta:
        default_permissions = ()
        constraints = (
            # Also the index for a check's page: its hours in order.
            models.UniqueConstraint(fields=["check_row", "hour"], name="check_hour_once"),
        )

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H}:00"

    @property
    def latency_mean(self) -> float:
        return self.latency_sum / self.runs if self.runs else 0.0
