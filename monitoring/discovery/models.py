"""Model for the addresses of a service that Prometheus scrapes, found by HTTP service discovery."""

import re
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.urls import reverse

from monitoring.checks.targets import TargetError
from monitoring.discovery.addresses import check_address, check_labels, check_path
from monitoring.rules.grammar import GrammarError
from portal.core.models import Service


def validate_target_labels(value: Any) -> None:
    try:
        check_labels(value)
    except GrammarError as error:
        raise ValidationError(str(error)) from error


def validate_metrics_path(value: str) -> None:
    try:
        check_path(value)
    except TargetError as error:
        raise ValidationError(str(error)) from error


class Scheme(models.TextChoices):
    HTTP = "http", "http"
    HTTPS = "https", "https"


class ScrapeTarget(models.Model):
    """An address at which a service exposes its metrics."""

    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="scrape_targets")
    address = models.CharField(
        max_length=260,
        help_text="host:port under which Prometheus reaches it, for example shop.internal:9100.",
    )
    scheme = models.CharField(max_length=5, choices=Scheme.choices, default=Scheme.HTTP)
    metrics_path = models.CharField(
        max_length=300, default="/metrics", validators=[validate_metrics_path]
    )
    labels = models.JSONField(
        blank=True,
        default=dict,
        validators=[validate_target_labels],
        help_text='Added to every series, for example {"zone": "a"}. job and service are the slug.',
    )
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("service__slug", "address")
        constraints = (
            models.CheckConstraint(
                condition=Q(scheme__in=Scheme.values), name="scrape_target_scheme_known"
            ),
            # Prometheus would scrape a duplicate twice, and reject half of the samples.
            models.UniqueConstraint(
                fields=["service", "address", "scheme", "metrics_path"],
                name="scrape_target_once_per_service",
                violation_error_message="This service already has a target with this address and path.",
            ),
        )

    def __str__(self) -> str:
        return f"{self.scheme}://{self.address}{self.metrics_path}"

    def get_absolute_url(self) -> str:
        return reverse("admin:monitoring_scrapetarget_change", args=[self.pk])

    def clean(self) -> None:
        """Convert the address to normal form, or say what to write instead."""
        written = re.sub(r"^https?://", "", self.address.strip(), flags=re.I).rstrip("/")
        try:
            self.address = check_address(written)
        except TargetError as error:
            raise ValidationError({"address": str(error)}) from error
