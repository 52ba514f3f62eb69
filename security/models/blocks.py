"""Models for blocks and the allow-list. PostgreSQL is authoritative, Redis holds a copy for each request."""

from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone


class SubjectKind(models.TextChoices):
    """`account` and `token` are identified by their id."""

    ADDRESS = "address", "Address"
    NETWORK = "network", "Network"
    ACCOUNT = "account", "Account"
    TOKEN = "token", "Token"


class BlockOrigin(models.TextChoices):
    HAND = "hand", "By hand"
    RULE = "rule", "By a rule"
    CROWDSEC = "crowdsec", "CrowdSec"


class BlockQuerySet(models.QuerySet["Block"]):
    def active(self, *, at: datetime) -> "BlockQuerySet":
        return self.filter(ended_at__isnull=True, expires_at__gt=at)

    def elapsed(self, *, at: datetime) -> "BlockQuerySet":
        """Return blocks that have expired, but whose end is not recorded yet."""
        return self.filter(ended_at__isnull=True, expires_at__lte=at)

    def over(self, *, at: datetime) -> "BlockQuerySet":
        """Return blocks that are no longer enforced."""
        return self.filter(Q(ended_at__isnull=False) | Q(expires_at__lte=at))


class Block(models.Model):
    """A subject is refused until `expires_at`. Lifted blocks stay as history."""

    Kind = SubjectKind
    Origin = BlockOrigin

    kind = models.CharField(max_length=10, choices=SubjectKind.choices)
    value = models.CharField(
        max_length=100, help_text="An address or network, or the id of an account or token."
    )
    name = models.CharField(max_length=200, blank=True, help_text="Name of the account or token.")
    reason = models.CharField(max_length=500)
    origin = models.CharField(max_length=10, choices=BlockOrigin.choices, default=BlockOrigin.HAND)
    created_at = models.DateTimeField(default=timezone.now)
    created_by = models.CharField(max_length=200)
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    ended_by = models.CharField(max_length=200, blank=True)
    end_reason = models.CharField(max_length=500, blank=True)
    flag = models.ForeignKey(
        "security.Flag", null=True, on_delete=models.SET_NULL, related_name="blocks"
    )
    remote_id = models.BigIntegerField(null=True, help_text="Id of the decision in CrowdSec.")
    pushed_at = models.DateTimeField(null=True, help_text="When it was published to CrowdSec.")
    pushed_until = models.DateTimeField(
        null=True, help_text="The end that was published to CrowdSec."
    )

    objects = BlockQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at", "-id")
        default_permissions = ("view", "add", "change")
        constraints = (
            models.CheckConstraint(condition=Q(kind__in=SubjectKind.values), name="block_kind_known"),
            models.CheckConstraint(condition=Q(origin__in=BlockOrigin.values), name="block_origin_known"),
            models.CheckConstraint(condition=Q(expires_at__gt=models.F("created_at")), name="block_ends_later"),
            models.UniqueConstraint(
                fields=["kind", "value", "origin"], condition=Q(ended_at__isnull=True), name="block_one_open_per_value",
            ),
        )  # fmt: skip
        indexes = (
            # Blocks that are enforced now, and those that have expired
            models.Index(
                fields=["expires_at"], name="block_open", condition=Q(ended_at__isnull=True)
            ),
            # Blocks that block_retention deletes, oldest first
            models.Index(
                fields=["origin", "ended_at"],
                name="block_ended",
                condition=Q(ended_at__isnull=False),
            ),
            # The list in the admin, of one state or of all
            models.Index(fields=["-created_at", "-id"], name="block_newest"),
            # "Was this blocked before?", in list, search and API
            models.Index(fields=["value"], name="block_value"),
        )

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.shown_value}"

    def get_absolute_url(self) -> str:
        return reverse("admin:security_block_change", args=[self.pk])

    @property
    def shown_value(self) -> str:
        return self.name or self.value

    def state(self, *, at: datetime) -> str:
        if self.ended_at is not None and self.ended_at < self.expires_at:
            return "lifted"
        return "active" if self.ended_at is None and self.expires_at > at else "expired"


class AllowEntry(models.Model):
    """A subject that no block ever refuses."""

    kind = models.CharField(max_length=10, choices=SubjectKind.choices)
    value = models.CharField(max_length=100)
    name = models.CharField(max_length=200, blank=True, editable=False)
    reason = models.CharField(max_length=500)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    created_by = models.CharField(max_length=200, editable=False)

    class Meta:
        ordering = ("kind", "value")
        verbose_name = "allow-list entry"
        verbose_name_plural = "allow-list entries"
        constraints = (
            models.CheckConstraint(
                condition=Q(kind__in=SubjectKind.values), name="allow_kind_known"
            ),
            models.UniqueConstraint(fields=["kind", "value"], name="allow_once"),
        )

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.name or self.value}"

    def clean(self) -> None:
        if not self.reason.strip():
            raise ValidationError({"reason": "Enter a reason: others will ask."})
