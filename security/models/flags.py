"""Models for detection: flags, the settings of rules, the detector's position, and known token clients."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.postgres.expressions import ArraySubquery
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import OuterRef, Q
from django.urls import reverse
from django.utils import timezone

from security.models.blocks import SubjectKind
from security.models.credentials import ApiToken
from security.models.flag_services import FlagService
from security.rules.engine import RULES
from security.rules.finding import Rule, severity

MAX_BLOCK_MINUTES = 7 * 24 * 60


class FlagStatus(models.TextChoices):
    OPEN = "open", "Open"
    CONFIRMED = "confirmed", "Confirmed"
    DISMISSED = "dismissed", "Dismissed"


class FlagQuerySet(models.QuerySet["Flag"]):
    def open(self) -> "FlagQuerySet":
        return self.filter(status=FlagStatus.OPEN)

    def of_subject(self, kind: str, subject: str) -> "FlagQuerySet":
        return self.filter(subject_kind=kind, subject=subject)

    def of_service(self, slug: str) -> "FlagQuerySet":
        return self.filter(services__slug=slug)

    def with_services(self) -> "FlagQuerySet":
        """Add `service_slugs`, the slugs of the services that each flag concerns, in the same query."""
        named = FlagService.objects.filter(flag=OuterRef("pk")).order_by("slug")
        return self.annotate(service_slugs=ArraySubquery(named.values("slug")))


class Flag(models.Model):
    """A rule matched a subject. While the flag is open, further findings are added to it."""

    Status = FlagStatus

    rule = models.CharField(max_length=50)
    subject_kind = models.CharField(max_length=10, choices=SubjectKind.choices)
    subject = models.CharField(
        max_length=100, help_text="An address, or the id of an account or token."
    )
    subject_name = models.CharField(max_length=200, blank=True)
    score = models.PositiveSmallIntegerField()
    sentence = models.TextField()
    counts = models.JSONField(default=dict)
    evidence = models.JSONField(default=list, help_text="Details of the newest audit entries.")
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    opened_at = models.DateTimeField(default=timezone.now)
    status = models.CharField(max_length=10, choices=FlagStatus.choices, default=FlagStatus.OPEN)
    assigned_to = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    decided_at = models.DateTimeField(null=True)
    decided_by = models.CharField(max_length=200, blank=True)
    decision_reason = models.TextField(blank=True)

    objects = FlagQuerySet.as_manager()

    class Meta:
        ordering = ("-last_at", "-id")
        default_permissions = ("view", "change")
        constraints = (
            models.CheckConstraint(condition=Q(status__in=FlagStatus.values), name="flag_status_known"),
            models.CheckConstraint(condition=Q(subject_kind__in=SubjectKind.values), name="flag_subject_known"),
            models.CheckConstraint(condition=Q(score__lte=100), name="flag_score_to_100"),
            models.CheckConstraint(condition=Q(first_at__lte=models.F("last_at")), name="flag_window_forward"),
            models.CheckConstraint(
                condition=Q(status=FlagStatus.OPEN, decided_at__isnull=True)
                | (~Q(status=FlagStatus.OPEN) & Q(decided_at__isnull=False)),
                name="flag_decided_when_closed",
            ),
            models.UniqueConstraint(
                fields=["rule", "subject_kind", "subject"], condition=Q(status=FlagStatus.OPEN),
                name="flag_one_open_per_rule_and_subject",
            ),
        )  # fmt: skip
        indexes = (
            # The list, of one status or all
            models.Index(fields=["status", "-last_at", "-id"], name="flag_list"),
            models.Index(fields=["-last_at", "-id"], name="flag_newest"),
            # The timeline: flags by the time they were opened
            models.Index(fields=["-opened_at", "-id"], name="flag_opened"),
            # "What else about this subject?": the flag's page
            models.Index(fields=["subject_kind", "subject", "-last_at"], name="flag_subject"),
        )

    def __str__(self) -> str:
        return f"{self.title}: {self.shown_subject}"

    def get_absolute_url(self) -> str:
        return reverse("admin:security_flag_change", args=[self.pk])

    @property
    def title(self) -> str:
        return RULES[self.rule].title if self.rule in RULES else self.rule

    @property
    def severity(self) -> str:
        return severity(self.score)

    @property
    def shown_subject(self) -> str:
        return self.subject_name or self.subject


def validate_thresholds(rule: Rule, given: Any) -> None:
    """Raise ValidationError for the first threshold in `given` that `rule` cannot use."""
    if not isinstance(given, dict):
        raise ValidationError(
            'Thresholds must be an object of numbers, for example {"failures": 10}.'
        )
    known = {threshold.name: threshold for threshold in rule.thresholds}
    for name, value in given.items():
        threshold = known.get(name)
        if threshold is None:
            raise ValidationError(
                f"{str(name)[:50]!r} is not a threshold of {rule.id}. Available thresholds: {', '.join(known)}."
            )
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValidationError(f"{name} must be a number.")
        if not threshold.minimum <= value <= threshold.maximum:
            span = f"{threshold.minimum:g} to {threshold.maximum:g} {threshold.unit}"
            raise ValidationError(f"{name} must be from {span}.")


class RuleSetting(models.Model):
    """Whether a rule runs, with which thresholds, and whether it blocks automatically."""

    rule = models.CharField(max_length=50, unique=True, editable=False)
    enabled = models.BooleanField(default=True)
    thresholds = models.JSONField(
        default=dict, blank=True, help_text="Only values that differ from the defaults."
    )
    block_minutes = models.PositiveIntegerField(
        default=0,
        help_text="For how long a new flag of this rule blocks its subject automatically; 0: never.",
    )

    class Meta:
        ordering = ("rule",)
        verbose_name = "detection rule"
        default_permissions = ("view", "change")
        constraints = (
            models.CheckConstraint(
                condition=Q(block_minutes__lte=MAX_BLOCK_MINUTES), name="rule_blocks_a_week_at_most"
            ),
        )

    def __str__(self) -> str:
        return self.spec.title if self.rule in RULES else self.rule

    @property
    def spec(self) -> Rule:
        return RULES[self.rule]

    def effective(self) -> dict[str, float]:
        """Return all thresholds: the defaults, overridden by the values that staff set."""
        return {**self.spec.defaults, **self.thresholds}

    def clean(self) -> None:
        if self.block_minutes is not None and self.block_minutes > MAX_BLOCK_MINUTES:
            raise ValidationError(
                {"block_minutes": "A rule can block for a week (10,080 minutes) at most."}
            )
        try:
            validate_thresholds(self.spec, self.thresholds)
        except ValidationError as error:
            raise ValidationError({"thresholds": error.messages}) from error


class DetectorCursor(models.Model):
    """How far the rules have read the trail; its row lock ensures that only one worker reads at a time."""

    name = models.CharField(max_length=50, unique=True)
    txid = models.BigIntegerField()
    entry_id = models.BigIntegerField(default=0)
    cluster = models.CharField(
        max_length=40, help_text="Transaction numbers mean nothing elsewhere."
    )
    ran_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.name} at {self.txid}"


class SeenClient(models.Model):
    """A network and a kind of client that a token was used from."""

    token = models.ForeignKey(ApiToken, on_delete=models.CASCADE, related_name="clients")
    network = models.CharField(max_length=50)
    client = models.CharField(max_length=80)
    first_seen_at = models.DateTimeField(default=timezone.now)
    address = models.GenericIPAddressField(null=True)

    class Meta:
        ordering = ("-first_seen_at",)
        default_permissions = ("view",)
        constraints = (
            # Also the index of "has this token been seen here?"
            models.UniqueConstraint(fields=["token", "network", "client"], name="client_seen_once"),
        )

    def __str__(self) -> str:
        return f"{self.client} from {self.network}"

    @staticmethod
    def key(network: str, client: str) -> str:
        return f"{network}|{client}"


def age_seconds(moment: datetime | None, *, at: datetime) -> float:
    """Return the seconds from `moment` to `at`; 0 without one."""
    return max(0.0, (at - moment).total_seconds()) if moment else 0.0
