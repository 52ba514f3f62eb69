"""Models for what the portal observes: upstream servers with their freshness, and the service catalogue."""

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from portal.core.crypto import EncryptedJSONField
from portal.core.matchers import Matcher, MatcherError, parse
from portal.core.validators import (
    validate_labels,
    validate_log_fields,
    validate_matchers,
    validate_not_reserved,
    validate_options,
    validate_server_urls,
)

STALE_AFTER_INTERVALS = 3
LONGEST_INTERVAL = 86400


class Freshness(models.TextChoices):
    """How far an upstream's data can be trusted now. "No data" must never be shown as "no alerts"."""

    LIVE = "live", "Live"
    STALE = "stale", "Stale"
    UNREACHABLE = "unreachable", "Unreachable"
    NEVER = "never", "Never polled"


class UpstreamKind(models.TextChoices):
    PROMETHEUS = "prometheus", "Prometheus"
    ALERTMANAGER = "alertmanager", "Alertmanager"
    SENTRY = "sentry", "Sentry"
    ELASTICSEARCH = "elasticsearch", "Elasticsearch"
    CROWDSEC = "crowdsec", "CrowdSec"
    PORTAL = "portal", "The portal itself"

    @classmethod
    def servers(cls) -> list[tuple[str, str]]:
        """Return the kinds that people may add: all but the portal's own, internal one."""
        return [(kind.value, str(kind.label)) for kind in cls if kind is not cls.PORTAL]


class UpstreamQuerySet(models.QuerySet["Upstream"]):
    def enabled(self) -> "UpstreamQuerySet":
        return self.filter(enabled=True)

    def servers(self) -> "UpstreamQuerySet":
        """Return all but the internal upstream, which carries the portal's own alerts."""
        return self.exclude(kind=UpstreamKind.PORTAL)

    def due(self, *, at: datetime) -> "UpstreamQuerySet":
        """Return the upstreams that are due and not leased by another worker."""
        free = Q(lease_until__isnull=True) | Q(lease_until__lt=at)
        return self.enabled().filter(free, next_run_at__lte=at)


def _servers(url: str) -> set[tuple[str, str]]:
    """Return scheme and authority of each URL in a comma-separated list."""
    parts = (urlsplit(member.strip().lower()) for member in url.split(",") if member.strip())
    return {(part.scheme, part.netloc) for part in parts}


class Upstream(models.Model):
    """A server that the portal polls. The row stores when it is polled next and how fresh its data is."""

    Kind = UpstreamKind

    name = models.SlugField(
        unique=True,
        validators=[validate_not_reserved],
        help_text="Used in URLs, and by the command manage.py poll NAME.",
    )
    kind = models.CharField(max_length=20, choices=UpstreamKind.choices)
    url = models.CharField(
        "URL",
        max_length=1000,
        validators=[validate_server_urls],
        help_text="http://host:port. Members of one Alertmanager cluster are separated by commas.",
    )
    credentials = EncryptedJSONField(blank=True, default=dict, editable=False)
    options = models.JSONField(blank=True, default=dict, validators=[validate_options])
    enabled = models.BooleanField(default=True)
    managed = models.BooleanField(
        default=False, editable=False, help_text="Set by environment variables."
    )
    interval_seconds = models.PositiveIntegerField(
        default=15,
        validators=[MinValueValidator(1), MaxValueValidator(LONGEST_INTERVAL)],
        help_text="Poll interval in seconds.",
    )

    next_run_at = models.DateTimeField(default=timezone.now, editable=False)
    lease_until = models.DateTimeField(null=True, editable=False)
    attempted_at = models.DateTimeField(null=True, editable=False)
    succeeded_at = models.DateTimeField(null=True, editable=False)
    success_streak_since = models.DateTimeField(null=True, editable=False)
    duration_seconds = models.FloatField(null=True, editable=False)
    error = models.TextField(blank=True, default="", editable=False)
    error_since = models.DateTimeField(null=True, editable=False)
    warning = models.TextField(blank=True, default="", editable=False)
    clock_skew_seconds = models.FloatField(null=True, editable=False)
    settling_since = models.DateTimeField(null=True, editable=False)
    settling_reason = models.TextField(blank=True, default="", editable=False)
    observed = models.JSONField(default=dict, editable=False)

    objects = UpstreamQuerySet.as_manager()

    # The other columns hold the state of polling, which updates them with its own statements.
    SET_BY_PEOPLE = (
        "name", "kind", "url", "credentials", "options", "enabled", "managed", "interval_seconds",
    )  # fmt: skip

    class Meta:
        ordering = ("name",)
        constraints = (
            models.CheckConstraint(
                condition=Q(kind__in=UpstreamKind.values), name="upstream_kind_known"
            ),
            models.CheckConstraint(
                condition=Q(interval_seconds__gte=1, interval_seconds__lte=LONGEST_INTERVAL),
                name="upstream_interval_in_a_day",
            ),
        )
        indexes = (
            # For the tick's query: polling.claim_due()
            models.Index(fields=["next_run_at"], name="upstream_due", condition=Q(enabled=True)),
        )

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("admin:core_upstream_change", args=[self.pk])

    def save(self, *args: Any, **options: Any) -> None:
        """Update only the columns that people set in an existing row: a poll may have ended since it was read."""
        if not self._state.adding:
            options.setdefault("update_fields", self.SET_BY_PEOPLE)
        super().save(*args, **options)

    @property
    def members(self) -> list[str]:
        """Return the base URLs without a trailing slash; several URLs form a cluster."""
        return [url.strip().rstrip("/") for url in self.url.split(",") if url.strip()]

    def moves_to(self, url: str) -> bool:
        """True when `url` has a scheme, host or port that ours has not, to which our credentials must not be sent."""
        return bool(_servers(url) - _servers(self.url))

    def freshness(self, *, at: datetime) -> Freshness:
        if self.kind == UpstreamKind.PORTAL:
            return Freshness.LIVE
        if self.attempted_at is None:
            return Freshness.NEVER
        if self.error:
            return Freshness.UNREACHABLE
        if self.succeeded_at is None and abs(at - self.attempted_at) <= self.stale_after:
            return Freshness.NEVER  # the first poll is still running
        # A success in the future proves nothing either: the clock has been set back since.
        if self.succeeded_at is None or abs(at - self.succeeded_at) > self.stale_after:
            return Freshness.STALE
        return Freshness.LIVE

    @property
    def stale_after(self) -> timedelta:
        slack = timedelta(seconds=5 + (self.duration_seconds or 0))
        # A rejected form renders its page with the value that was typed, which may be far too large.
        interval = timedelta(seconds=min(self.interval_seconds, LONGEST_INTERVAL))
        return interval * STALE_AFTER_INTERVALS + slack

    def option(self, name: str, default: Any) -> Any:
        return self.options.get(name, default)


class ServiceQuerySet(models.QuerySet["Service"]):
    def in_order(self) -> "ServiceQuerySet":
        return self.order_by("slug")


class Service(models.Model):
    """Something a team runs. Its matchers assign alerts, targets and errors to it, its log fields log lines."""

    slug = models.SlugField(max_length=100, unique=True)
    name = models.CharField(max_length=200)
    team = models.CharField(max_length=100, blank=True)
    tier = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(5)],
        help_text="From 1, the most critical, to 5.",
    )
    description = models.TextField(blank=True)
    runbook_url = models.URLField(blank=True)
    repository_url = models.URLField(blank=True)
    labels = models.JSONField(blank=True, default=dict)
    matchers = ArrayField(
        models.CharField(max_length=500),
        blank=True,
        default=list,
        validators=[validate_matchers],
        help_text='Alerts and targets whose labels match all of these belong here, for example job="api".',
    )
    log_fields = ArrayField(
        models.CharField(max_length=500),
        blank=True,
        default=list,
        validators=[validate_log_fields],
        help_text="Log lines with these values belong to the service, for example service.name=shop-api. If empty,"
        " lines that carry its slug do.",
    )
    discovered = models.BooleanField(
        default=False, editable=False, help_text="Discovered from a scrape job of Prometheus."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ServiceQuerySet.as_manager()

    class Meta:
        ordering = ("slug",)
        constraints = (
            models.CheckConstraint(
                condition=Q(tier__isnull=True) | Q(tier__gte=1, tier__lte=5),
                name="service_tier_1_to_5",
            ),
        )

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("admin:core_service_change", args=[self.pk])

    def clean(self) -> None:
        """Validate the labels here as well: `[]` counts as empty, so a form skips the field's validators."""
        try:
            validate_labels(self.labels)
        except ValidationError as error:
            raise ValidationError({"labels": error.messages}) from error

    def parsed_matchers(self) -> list[Matcher]:
        """Return the matchers; skip one that no longer parses rather than fail a poll."""
        found = []
        for written in self.matchers:
            try:
                found.append(parse(written))
            except MatcherError:
                continue
        return found
