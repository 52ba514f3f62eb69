"""Model of the append-only trail; entries have no foreign keys, so that deleting an object deletes no entry."""

from datetime import datetime
from typing import Any, NoReturn

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.urls import reverse

from audit import export_models, ingest_models  # noqa: F401 - Django finds models through this module


class Outcome(models.TextChoices):
    """ECS `event.outcome`; a denial is a failure whose `type` contains "denied"."""

    SUCCESS = "success", "Success"
    FAILURE = "failure", "Failure"
    UNKNOWN = "unknown", "Unknown"


class ClockTimestamp(Now):
    """PostgreSQL's current time, not that of the start of the transaction."""

    template = "clock_timestamp()"


class AuditEntryQuerySet(models.QuerySet["AuditEntry"]):
    def of_target(self, target_type: str, target_id: object) -> "AuditEntryQuerySet":
        return self.filter(target_type=target_type, target_id=str(target_id))

    def of_service(self, slug: str) -> "AuditEntryQuerySet":
        """Return entries about the service and what belongs to it, and those that its application sent."""
        return self.filter(data__has_key="service", data__service=slug)

    def since(self, moment: datetime) -> "AuditEntryQuerySet":
        return self.filter(recorded_at__gte=moment)

    def delete(self) -> NoReturn:
        raise TypeError("Audit entries are append-only.")

    def update(self, **_kwargs: Any) -> NoReturn:
        raise TypeError("Audit entries are append-only.")


class AuditEntry(models.Model):
    """Who did what, to what, from where, when, and with which outcome. Names follow ECS, with underscores.

    The table is partitioned by month of `recorded_at` and guarded by a trigger (migration 0001).
    """

    Outcome = Outcome

    uid = models.UUIDField(
        "UID", help_text="UUIDv7, the same in the file, the table and every export."
    )
    occurred_at = models.DateTimeField(help_text="According to the clock of the reporting system.")
    recorded_at = models.DateTimeField(
        db_default=ClockTimestamp(), help_text="According to the clock of the database."
    )
    schema_version = models.PositiveSmallIntegerField(default=2)
    kind = models.CharField(max_length=20, default="event")
    category = ArrayField(models.CharField(max_length=40), default=list)
    type = ArrayField(models.CharField(max_length=40), default=list)
    action = models.CharField(max_length=100)
    code = models.CharField(
        max_length=32, blank=True, default="", help_text="The code of an action never changes."
    )
    outcome = models.CharField(max_length=10, choices=Outcome.choices, default=Outcome.SUCCESS)
    reason = models.TextField(blank=True, default="")
    severity = models.PositiveSmallIntegerField(
        default=1, help_text="1 (informational) to 6 (fatal), as in OCSF."
    )

    actor_type = models.CharField(max_length=20)
    actor_id = models.CharField(max_length=200, blank=True, default="")
    actor_name = models.CharField(max_length=200, blank=True, default="")
    actor_roles = ArrayField(models.CharField(max_length=150), default=list)
    impersonator_id = models.CharField(
        max_length=200,
        blank=True,
        default="",
        help_text="Who acted as the actor, if somebody else did.",
    )
    impersonator_name = models.CharField(max_length=200, blank=True, default="")
    auth_method = models.CharField(max_length=40, blank=True, default="")
    auth_factors = ArrayField(models.CharField(max_length=40), default=list)
    session_fp = models.CharField("session (fingerprint)", max_length=16, blank=True, default="")
    token_fp = models.CharField("token (fingerprint)", max_length=16, blank=True, default="")

    source_ip = models.GenericIPAddressField("source IP", null=True)
    source_port = models.PositiveIntegerField(null=True)
    source_ip_chain = models.TextField("source IP chain", blank=True, default="")
    geo_country = models.CharField(
        "country",
        max_length=2,
        blank=True,
        default="",
        help_text="Country of the address, ISO 3166-1.",
    )
    asn = models.BigIntegerField(
        "autonomous system", null=True, help_text="Autonomous system number of the address."
    )
    user_agent = models.TextField(blank=True, default="")
    http_method = models.CharField("HTTP method", max_length=16, blank=True, default="")
    url_path = models.TextField("URL path", blank=True, default="")
    http_status = models.PositiveSmallIntegerField("HTTP status", null=True)
    request_id = models.CharField(max_length=64, blank=True, default="")
    client_request_id = models.CharField(max_length=64, blank=True, default="")
    trace_id = models.CharField(max_length=32, blank=True, default="")

    target_type = models.CharField(max_length=100, blank=True, default="")
    target_id = models.CharField(max_length=200, blank=True, default="")
    target_name = models.CharField(max_length=300, blank=True, default="")
    targets = models.JSONField(default=list, help_text="Further objects of a bulk action.")
    changes = models.JSONField(default=dict, help_text="{field: [old, new]}, secrets redacted.")
    data = models.JSONField(default=dict)
    writer_id = models.CharField(max_length=100, help_text="The process that wrote it.")
    writer_seq = models.BigIntegerField(
        help_text="Counted per writer: a gap is a lost or rolled-back write."
    )

    objects = AuditEntryQuerySet.as_manager()

    class Meta:
        db_table = "audit_entry"
        managed = False  # partitioned: migration 0001 writes the SQL
        ordering = ("-recorded_at", "-id")
        verbose_name_plural = "audit trail"
        default_permissions = ("view",)
        constraints = (
            models.CheckConstraint(
                condition=Q(outcome__in=Outcome.values), name="audit_outcome_known"
            ),
        )

    def __str__(self) -> str:
        return f"{self.action} by {self.actor_name or self.actor_type}"

    def get_absolute_url(self) -> str:
        return reverse("admin:audit_auditentry_change", args=[self.pk])

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError("Audit entries are append-only.")
        super().save(*args, **kwargs)

    def delete(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise TypeError("Audit entries are append-only.")
