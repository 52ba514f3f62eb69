"""Choices for the status of services and targets."""

from django.db import models


class Status(models.TextChoices):
    UP = "up", "Up"
    DEGRADED = "degraded", "Degraded"
    DOWN = "down", "Down"
    UNKNOWN = "unknown", "Unknown"


class Health(models.TextChoices):
    """The health of a target, in Prometheus's terms."""

    UP = "up", "Up"
    DOWN = "down", "Down"
    UNKNOWN = "unknown", "Unknown"
