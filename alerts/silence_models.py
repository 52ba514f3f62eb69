"""Model for silences, mirrored from their Alertmanager."""

from datetime import datetime, timedelta
from typing import Any

from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import ExpressionWrapper, F, Max, Min, Value
from django.db.models.functions import Coalesce
from django.urls import reverse

from portal.core.models import Upstream


def _there(at: datetime) -> "ExpressionWrapper[Any]":
    """Return `at`, given by our clock, by the clock of the silence's Alertmanager, which its times are based on."""
    skew = Coalesce(F("upstream__clock_skew_seconds"), 0.0) * Value(timedelta(seconds=1))
    ahead = ExpressionWrapper(skew, output_field=models.DurationField())
    return ExpressionWrapper(Value(at) + ahead, output_field=models.DateTimeField())


def _span(at: datetime) -> tuple[datetime, datetime]:
    """Return the times of the slowest and the fastest clock, as constants, so that PostgreSQL can use an index."""
    skew = F("clock_skew_seconds")
    found = Upstream.objects.aggregate(least=Min(skew, default=0), most=Max(skew, default=0))
    least, most = min(0.0, found["least"]), max(0.0, found["most"])
    return at + timedelta(seconds=least), at + timedelta(seconds=most)


class SilenceQuerySet(models.QuerySet["Silence"]):
    """`at` is by our clock."""

    def pending(self, *, at: datetime) -> "SilenceQuerySet":
        return self.filter(starts_at__gt=_span(at)[0]).filter(starts_at__gt=_there(at))

    def active(self, *, at: datetime) -> "SilenceQuerySet":
        return self.not_expired(at=at).filter(starts_at__lte=_there(at))

    def not_expired(self, *, at: datetime) -> "SilenceQuerySet":
        return self.filter(ends_at__gt=_span(at)[0]).filter(ends_at__gt=_there(at))

    def expired(self, *, at: datetime) -> "SilenceQuerySet":
        return self.filter(ends_at__lte=_span(at)[1]).filter(ends_at__lte=_there(at))


class Silence(models.Model):
    """A silence as stored in its Alertmanager. Its state is computed from the time."""

    upstream = models.ForeignKey(Upstream, on_delete=models.PROTECT, related_name="silences")
    silence_id = models.CharField(max_length=64)
    matchers = models.JSONField(default=list, help_text='[{"name", "operator", "value"}]')
    comment = models.TextField(blank=True, default="")
    created_by = models.CharField(max_length=200, blank=True, default="")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    objects = SilenceQuerySet.as_manager()

    class Meta:
        ordering = ("-starts_at", "-id")
        default_permissions = ("view", "add", "change")
        constraints = (
            models.UniqueConstraint(
                fields=["upstream", "silence_id"], name="silence_once_per_upstream"
            ),
        )
        indexes = (
            # The timeline: silences as they began.
            models.Index(fields=["-starts_at", "-id"], name="silence_newest"),
            # The timeline of a service: silences whose matchers name it.
            GinIndex(fields=["matchers"], name="silence_matchers", opclasses=["jsonb_path_ops"]),
            # The list of current silences, soonest to expire first.
            models.Index(fields=["ends_at"], name="silence_by_end"),
        )

    def __str__(self) -> str:
        return (
            " ".join(f'{m["name"]}{m["operator"]}"{m["value"]}"' for m in self.matchers)
            or self.silence_id
        )

    def get_absolute_url(self) -> str:
        return reverse("admin:alerts_silence_change", args=[self.pk])

    def state(self, *, at: datetime) -> str:
        """Return pending, active or expired at `at` (our clock), converted to the clock of its Alertmanager."""
        there = at + timedelta(seconds=self.upstream.clock_skew_seconds or 0)
        if there >= self.ends_at:
            return "expired"
        return "pending" if there < self.starts_at else "active"
