"""Where the trail is forwarded to, and how far it has been."""

from datetime import datetime
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.db.models.expressions import RawSQL
from django.urls import reverse
from django.utils import timezone

from security.siem.wire import Place

SCHEMES = {"syslog+tcp": 514, "syslog+tls": 6514}


class SiemFormat(models.TextChoices):
    ECS = "ecs", "ECS as JSON"
    CEF = "cef", "CEF"


def place_of(url: str, ca_pem: str = "") -> Place:
    """Return the receiver that a URL names. Raises ValidationError."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in SCHEMES or not parts.hostname or parts.username or parts.path.strip("/"):
        raise ValidationError({"url": "Use syslog+tcp://host:514 or syslog+tls://host:6514."})
    return Place(
        parts.hostname, port or SCHEMES[parts.scheme], parts.scheme == "syslog+tls", ca_pem
    )


# In the order of audit.stream, and without its horizon: what still runs is waiting too.
OLDEST_WAITING = """(
    SELECT waiting.recorded_at FROM audit_entry waiting
    WHERE (waiting.txid, waiting.id)
        > (security_siemdestination.txid::text::xid8, security_siemdestination.entry_id)
    ORDER BY waiting.txid, waiting.id LIMIT 1
)"""


class SiemDestinationQuerySet(models.QuerySet["SiemDestination"]):
    def due(self, *, at: datetime) -> "SiemDestinationQuerySet":
        free = Q(lease_until__isnull=True) | Q(lease_until__lt=at)
        return self.filter(free, Q(not_before__isnull=True) | Q(not_before__lte=at), enabled=True)

    def with_oldest_waiting(self) -> "SiemDestinationQuerySet":
        """Annotate the time of the oldest entry that each has not had, in the same statement."""
        return self.annotate(
            oldest_waiting=RawSQL(OLDEST_WAITING, [], output_field=models.DateTimeField())  # noqa: S611 - a constant
        )


class SiemDestination(models.Model):
    """A syslog receiver of the trail. It gets each entry at least once, from its creation on."""

    Format = SiemFormat

    name = models.CharField(max_length=100, unique=True)
    url = models.CharField(
        max_length=300, help_text="syslog+tcp://host:514 or syslog+tls://host:6514"
    )
    format = models.CharField(max_length=10, choices=SiemFormat.choices, default=SiemFormat.ECS)
    ca_pem = models.TextField(
        "certificate authority", blank=True,
        help_text="PEM of the authority that signed the receiver's certificate; empty: the system's.",
    )  # fmt: skip
    max_bytes = models.PositiveIntegerField(
        default=8192, help_text="The longest message the receiver takes; rsyslog: 8192."
    )
    enabled = models.BooleanField(default=True)
    managed = models.BooleanField(default=False, editable=False)
    txid = models.BigIntegerField(editable=False)
    entry_id = models.BigIntegerField(default=0, editable=False)
    cluster = models.CharField(max_length=40, editable=False)
    sent = models.BigIntegerField(default=0, editable=False)
    sent_at = models.DateTimeField(null=True, editable=False)
    error = models.TextField(blank=True, editable=False)
    failures = models.PositiveIntegerField(default=0, editable=False)
    failing_since = models.DateTimeField(null=True, editable=False)
    not_before = models.DateTimeField(null=True, editable=False)
    lease_until = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = SiemDestinationQuerySet.as_manager()

    class Meta:
        ordering = ("name",)
        verbose_name = "SIEM destination"
        constraints = (
            models.CheckConstraint(
                condition=Q(format__in=SiemFormat.values), name="siem_format_known"
            ),
            models.CheckConstraint(
                condition=Q(max_bytes__gte=1024, max_bytes__lte=1024 * 1024),
                name="siem_max_bytes_sane",
            ),
            models.CheckConstraint(
                condition=Q(failures=0) | Q(failing_since__isnull=False), name="siem_failing_since"
            ),
        )

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("admin:security_siemdestination_change", args=[self.pk])

    def waits_since(self) -> datetime | None:
        """Return when the oldest entry it has not had was recorded, of a row `with_oldest_waiting`."""
        return getattr(self, "oldest_waiting", None)

    def lag_seconds(self, *, at: datetime) -> float:
        """Return the age of the oldest entry it has not had; 0 when it has all."""
        oldest = self.waits_since()
        return max(0.0, (at - oldest).total_seconds()) if oldest else 0.0

    def clean(self) -> None:
        self.url = self.url.strip().rstrip("/")
        place_of(self.url)
        if self.ca_pem and "-----BEGIN CERTIFICATE-----" not in self.ca_pem:
            raise ValidationError(
                {"ca_pem": "Paste the certificate as PEM: -----BEGIN CERTIFICATE-----."}
            )
