"""Model for SIEM destinations: where the trail is forwarded to, and how far that has got."""

from datetime import datetime
from urllib.parse import SplitResult, urlsplit

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.expressions import RawSQL
from django.urls import reverse
from django.utils import timezone

from portal.core.crypto import EncryptedJSONField
from security.siem.https import Collector
from security.siem.transport import SyslogReceiver

SYSLOG_PORTS = {"syslog+tcp": 514, "syslog+tls": 6514}
URLS = "Use syslog+tcp://host:514, syslog+tls://host:6514 or https://host/path."


class SiemFormat(models.TextChoices):
    ECS = "ecs", "ECS as JSON"
    CEF = "cef", "CEF"


def receiver_of(url: str, ca_pem: str = "") -> SyslogReceiver:
    """Return the syslog receiver that a URL names. Raises ValidationError."""
    parts, port = _split(url)
    if parts.scheme not in SYSLOG_PORTS or parts.path.strip("/") or parts.query:
        raise ValidationError({"url": URLS})
    tls = parts.scheme == "syslog+tls"
    return SyslogReceiver(parts.hostname or "", port or SYSLOG_PORTS[parts.scheme], tls, ca_pem)


def collector_of(destination: "SiemDestination") -> Collector:
    """Return the HTTPS collector of a destination. Raises ValidationError."""
    parts, _port = _split(destination.url)
    if parts.scheme != "https":
        raise ValidationError({"url": URLS})
    return Collector(destination.name, destination.url, destination.token or "", destination.ca_pem)


def _split(url: str) -> tuple[SplitResult, int | None]:
    """Return the parts of a URL with a host and without a user. Raises ValidationError."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValidationError({"url": URLS}) from error
    if (
        not parts.hostname
        or "@" in parts.netloc
        or parts.fragment
        or not url.isprintable()
        or " " in url
    ):
        raise ValidationError({"url": URLS})
    return parts, port


# In the order of audit.stream, but without its horizon: entries of running transactions wait as well.
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
        """Annotate the time of the oldest entry not yet sent to each destination, in the same statement."""
        # Without the token: if its encryption key is lost, this and other destinations must still be listed.
        return self.defer("token").annotate(
            oldest_waiting=RawSQL(OLDEST_WAITING, [], output_field=models.DateTimeField())  # noqa: S611 - a constant
        )


class SiemDestination(models.Model):
    """A receiver of the trail by syslog or HTTPS. It gets each entry at least once, from its creation on."""

    Format = SiemFormat

    name = models.CharField(max_length=100, unique=True)
    url = models.CharField(
        "URL",
        max_length=300,
        help_text="syslog+tcp://host:514, syslog+tls://host:6514, or https://host/path for JSON lines by POST.",
    )
    token = EncryptedJSONField(blank=True, default="", editable=False)
    format = models.CharField(max_length=10, choices=SiemFormat.choices, default=SiemFormat.ECS)
    ca_pem = models.TextField(
        "certificate authority", blank=True,
        help_text="PEM of the CA that signed the receiver's certificate; empty: the system's CAs.",
    )  # fmt: skip
    max_bytes = models.PositiveIntegerField(
        default=8192,
        validators=[MinValueValidator(1024), MaxValueValidator(1024 * 1024)],
        help_text="The longest message the receiver accepts; rsyslog: 8192.",
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
        """Return when the oldest unsent entry was recorded; for rows from `with_oldest_waiting`."""
        return getattr(self, "oldest_waiting", None)

    def lag_seconds(self, *, at: datetime) -> float:
        """Return the age of the oldest unsent entry; 0 if there is none."""
        oldest = self.waits_since()
        return max(0.0, (at - oldest).total_seconds()) if oldest else 0.0

    @property
    def is_https(self) -> bool:
        return self.url.startswith("https:")

    def clean(self) -> None:
        self.url = self.url.strip() if self.is_https else self.url.strip().rstrip("/")
        if self.is_https:
            collector_of(self)
            if self.format != SiemFormat.ECS:
                raise ValidationError({"format": "An https destination supports only ECS as JSON."})
        else:
            receiver_of(self.url)
        if self.ca_pem and "-----BEGIN CERTIFICATE-----" not in self.ca_pem:
            raise ValidationError(
                {"ca_pem": "Paste the certificate as PEM: -----BEGIN CERTIFICATE-----."}
            )
