"""Models for second factors (encrypted seeds, hashed recovery codes), enrolment links, and API tokens."""

from datetime import datetime

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django_otp.models import Device

from portal.core.crypto import EncryptedJSONField
from portal.core.models import Service


class TotpDevice(Device):
    """An authenticator app. Verification is in security/factors.py; the seed is encrypted at rest."""

    seed = EncryptedJSONField(editable=False)
    last_step = models.BigIntegerField(
        default=0, editable=False, help_text="Codes up to this time step have been used."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    last_used_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        default_permissions = ("view", "delete")
        verbose_name = "authenticator app"
        constraints = (
            models.UniqueConstraint(
                fields=["user"], condition=Q(confirmed=True), name="totp_one_confirmed_per_user"
            ),
        )

    def __str__(self) -> str:
        return f"Authenticator app of {self.user}"


class RecoveryDevice(Device):
    """A user's set of single-use recovery codes, as a device for django-otp."""

    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        default_permissions = ("view",)
        verbose_name = "recovery codes"
        verbose_name_plural = "recovery codes"
        constraints = (models.UniqueConstraint(fields=["user"], name="recovery_one_set_per_user"),)

    def __str__(self) -> str:
        return f"Recovery codes of {self.user}"


class RecoveryCode(models.Model):
    """The hash of one recovery code (128 random bits, so a keyed fast hash is enough)."""

    device = models.ForeignKey(RecoveryDevice, on_delete=models.CASCADE, related_name="codes")
    code_hash = models.CharField(max_length=64)
    used_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(fields=["device", "code_hash"], name="recovery_code_once"),
        )

    def __str__(self) -> str:
        return "Recovery code (used)" if self.used_at else "Recovery code"


class EnrolmentLink(models.Model):
    """A one-time link that lets a user set a password and enrol a factor. Only its hash is stored."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    token_hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"Enrolment link of {self.user}"

    def is_usable(self, *, at: datetime) -> bool:
        return self.used_at is None and at < self.expires_at


class Scope(models.TextChoices):
    """What a token may do. `admin` includes all others."""

    READ = "read", "Read everything except the audit trail"
    ALERTS_WRITE = "alerts:write", "Acknowledge, assign, comment, silence; deliver webhooks"
    MONITORING_WRITE = "monitoring:write", "Change upstreams, services and panels"
    AUDIT_READ = "audit:read", "Read the audit trail"
    AUDIT_WRITE = "audit:write", "Write audit entries"
    SECURITY_WRITE = "security:write", "Manage tokens, flags and blocks"
    METRICS = "metrics", "Scrape /metrics"
    ADMIN = "admin", "Everything"


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    def usable(self, *, at: datetime) -> "ApiTokenQuerySet":
        not_expired = Q(expires_at__isnull=True) | Q(expires_at__gt=at)
        return self.filter(not_expired, revoked_at__isnull=True, user__is_active=True)


class ApiToken(models.Model):
    """A bearer token of a user. Only its SHA-256 is stored; 190 random bits need no slow hash."""

    Scope = Scope

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens"
    )
    name = models.CharField(max_length=100)
    service = models.ForeignKey(
        Service, null=True, blank=True, on_delete=models.SET_NULL, related_name="+",
        help_text="The service whose application uses the token; what the token does appears in its timeline.",
    )  # fmt: skip
    token_hash = models.CharField(max_length=64, unique=True, editable=False)
    hint = models.CharField(
        max_length=20, editable=False, help_text="The first characters, to recognise it."
    )
    scopes = ArrayField(models.CharField(max_length=30, choices=Scope.choices))
    allowed_networks = ArrayField(
        models.CharField(max_length=50),
        default=list,
        blank=True,
        help_text="CIDR; empty: any address.",
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(null=True, editable=False)
    last_used_ip = models.GenericIPAddressField("last used from", null=True, editable=False)
    made_with = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, editable=False, related_name="made",
        help_text="The token it was created with.",
    )  # fmt: skip

    objects = ApiTokenQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at", "-id")
        verbose_name = "API token"
        constraints = (
            models.CheckConstraint(
                condition=Q(scopes__contained_by=Scope.values), name="token_scopes_known"
            ),
            models.CheckConstraint(condition=Q(scopes__len__gte=1), name="token_has_a_scope"),
        )

    def __str__(self) -> str:
        return f"{self.name} ({self.hint}…)"

    def allows(self, scope: str) -> bool:
        return Scope.ADMIN in self.scopes or scope in self.scopes
