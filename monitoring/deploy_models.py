"""Model for deploys: what was deployed where and when, as reported by pipelines."""

import uuid
from datetime import datetime
from typing import Any, NoReturn

from django.db import models
from django.urls import reverse
from django.utils import timezone

from portal.core.models import Service


class DeployQuerySet(models.QuerySet["Deploy"]):
    def between(self, start: datetime, end: datetime) -> "DeployQuerySet":
        return self.filter(at__gte=start, at__lte=end)


class Deploy(models.Model):
    """A version deployed to one environment of a service. Append-only; `uid` makes retries safe."""

    uid = models.UUIDField(unique=True, default=uuid.uuid4)
    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="deploys")
    version = models.CharField(max_length=200)
    environment = models.CharField(max_length=100, blank=True, default="")
    revision = models.CharField(max_length=100, blank=True, default="", help_text="Commit.")
    url = models.URLField(
        "URL", max_length=1000, blank=True, default="", help_text="Link to the pipeline run."
    )
    description = models.TextField(max_length=4000, blank=True, default="")
    actor = models.CharField(max_length=200, blank=True, default="")
    at = models.DateTimeField(default=timezone.now)
    recorded_at = models.DateTimeField(default=timezone.now)

    objects = DeployQuerySet.as_manager()

    class Meta:
        ordering = ("-at", "-id")
        default_permissions = ("view", "add")
        indexes = (
            # The marks on a chart, and the list, newest first.
            models.Index(fields=["-at", "-id"], name="deploy_newest"),
            # The deploys of one service, on its page and in its timeline.
            models.Index(fields=["service", "-at"], name="deploy_of_service"),
            # ?environment=
            models.Index(fields=["environment", "-at"], name="deploy_by_environment"),
            # ?version=
            models.Index(fields=["version", "-at"], name="deploy_by_version"),
        )

    def __str__(self) -> str:
        return f"{self.version} in {self.environment}" if self.environment else self.version

    def get_absolute_url(self) -> str:
        return reverse("admin:monitoring_deploy_change", args=[self.pk])

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError("Deploys are append-only.")
        super().save(*args, **kwargs)

    def delete(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise TypeError("Deploys are append-only.")
