"""Silences, as their Alertmanager holds them."""

from datetime import datetime

from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.urls import reverse

from portal.core.models import Upstream


class SilenceQuerySet(models.QuerySet["Silence"]):
    def active(self, *, at: datetime) -> "SilenceQuerySet":
        return self.filter(starts_at__lte=at, ends_at__gt=at)

    def not_expired(self, *, at: datetime) -> "SilenceQuerySet":
        return self.filter(ends_at__gt=at)


class Silence(models.Model):
    """A silence as its Alertmanager holds it. Its state follows from the time."""

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
        """Return pending, active or expired."""
        if at >= self.ends_at:
            return "expired"
        return "pending" if at < self.starts_at else "active"
