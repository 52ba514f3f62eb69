"""Model for alerting rules of Prometheus."""

from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.db.models.functions import Coalesce
from django.urls import reverse

from monitoring.rules.grammar import (
    GrammarError,
    check_annotations,
    check_labels,
    check_line,
    check_text,
    duration_seconds,
)
from portal.core.models import Service, Upstream


def _refused(check: Any, *given: Any) -> None:
    try:
        check(*given)
    except GrammarError as error:
        raise ValidationError(str(error)) from error


def validate_duration(value: str) -> None:
    _refused(duration_seconds, value)


def validate_rule_name(value: str) -> None:
    _refused(check_line, value)


def validate_template(value: str) -> None:
    _refused(check_text, "This text", value)


def validate_rule_labels(value: Any) -> None:
    _refused(check_labels, value)


def validate_annotations(value: Any) -> None:
    _refused(check_annotations, value)


class LoadedState(models.TextChoices):
    """The state of a rule in its Prometheus; a rule that it does not list is not loaded."""

    NOT_LOADED = "", "Not loaded"
    INACTIVE = "inactive", "Inactive"
    PENDING = "pending", "Pending"
    FIRING = "firing", "Firing"
    BROKEN = "broken", "Broken"


class Rule(models.Model):
    """An alerting rule in Prometheus's terms. The portal exports it; Prometheus evaluates it.

    `accepted_at` is when a Prometheus last accepted the expression. Until then the rule is left out of
    exports, because one invalid expression makes Prometheus reject the whole file.
    """

    group = models.CharField(
        max_length=100,
        default="portal",
        validators=[validate_rule_name],
        help_text="Rules of a group are evaluated one after the other.",
    )
    name = models.CharField(
        "alert name",
        max_length=200,
        validators=[validate_rule_name],
        help_text="For example ShopIsSlow.",
    )
    expr = models.TextField(
        "expression",
        max_length=4000,
        help_text="PromQL. Each series it returns is an alert, for example shop_queue_length > 100.",
    )
    for_duration = models.CharField(
        "for",
        max_length=40,
        default="5m",
        validators=[validate_duration],
        help_text="How long the expression must hold before the alert fires; 0 fires at once.",
    )
    keep_firing_for = models.CharField(
        max_length=40,
        default="0",
        validators=[validate_duration],
        help_text="How long it keeps firing after the expression no longer holds; needs Prometheus 2.42.",
    )
    severity = models.CharField(
        max_length=50, default="warning", help_text="The label severity, for example critical."
    )
    service = models.ForeignKey(
        Service,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="rules",
        help_text="Its slug becomes the label service.",
    )
    labels = models.JSONField(
        "further labels", blank=True, default=dict, validators=[validate_rule_labels]
    )
    summary = models.CharField(
        max_length=500,
        blank=True,
        validators=[validate_template],
        help_text="One sentence. {{ $labels.instance }} and {{ $value | humanize }} are filled in.",
    )
    description = models.TextField(blank=True, max_length=4000, validators=[validate_template])
    runbook_url = models.CharField(
        "runbook",
        max_length=500,
        blank=True,
        validators=[validate_template],
        help_text="If empty, the runbook of the service is used.",
    )
    annotations = models.JSONField(
        "further annotations", blank=True, default=dict, validators=[validate_annotations]
    )
    upstream = models.ForeignKey(
        Upstream,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="rules",
        limit_choices_to={"kind": Upstream.Kind.PROMETHEUS},
        verbose_name="Prometheus",
        help_text="The Prometheus that evaluates it; if empty, every Prometheus.",
    )
    position = models.PositiveSmallIntegerField(
        default=100, help_text="The order within the group."
    )
    enabled = models.BooleanField(default=True)
    accepted_at = models.DateTimeField(null=True, editable=False)
    loaded_state = models.CharField(
        max_length=10, blank=True, default="", choices=LoadedState.choices, editable=False
    )
    loaded_error = models.TextField(blank=True, default="", editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("group", "position", "name", "id")
        verbose_name = "alert rule"
        constraints = (
            models.CheckConstraint(
                condition=Q(loaded_state__in=LoadedState.values), name="rule_loaded_state_known"
            ),
            # Prometheus would evaluate both, but send only one alert.
            models.UniqueConstraint(
                "group",
                "name",
                "severity",
                Coalesce("upstream", 0),
                name="rule_once_per_group_and_severity",
                violation_error_message="This group already has a rule with this name and severity.",
            ),
        )

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("admin:monitoring_rule_change", args=[self.pk])

    def clean(self) -> None:
        """Reject text that a rule file cannot contain, and normalise line ends to those of Unix."""
        self.expr = self.expr.replace("\r\n", "\n").strip()
        self.description = self.description.replace("\r\n", "\n")
        for name, value in (("severity", self.severity), ("expr", self.expr)):
            if not value.strip() or not value.replace("\n", "").replace("\t", "").isprintable():
                raise ValidationError({name: "Write printable text."})
        if "{{" in self.severity or "\n" in self.severity:
            raise ValidationError({"severity": "Write a single word, for example critical."})
