"""Models for saved filters of the trail, and for its exports."""

from urllib.parse import urlencode

from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from audit.saved_queries import SavedQuery


class SavedFilter(SavedQuery):
    """A named filter of the trail; `query` contains the parameters of the list."""

    shared = models.BooleanField(
        default=False, help_text="Available to everybody who may read the audit trail."
    )

    class Meta(SavedQuery.Meta):
        abstract = False
        constraints = (
            models.UniqueConstraint(fields=["owner", "name"], name="saved_filter_once_per_owner"),
        )

    def get_absolute_url(self) -> str:
        return f"{reverse('admin:audit_auditentry_changelist')}?{urlencode(self.query)}"


class ExportState(models.TextChoices):
    WAITING = "waiting", "Waiting to be downloaded"
    RUNNING = "running", "Running"
    COMPLETED = "completed", "Completed"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


class ExportRecord(models.Model):
    """One export of the trail: its filter, who downloaded it, and what was sent.

    It can be downloaded once. The hash is that of the bytes sent, so it is known only after the last one.
    """

    State = ExportState

    requested_by = models.CharField(max_length=200)
    query = models.JSONField(default=dict)
    state = models.CharField(
        max_length=10, choices=ExportState.choices, default=ExportState.WAITING
    )
    estimated_rows = models.BigIntegerField(help_text="Estimated by PostgreSQL.")
    rows = models.BigIntegerField(default=0)
    bytes = models.BigIntegerField(default=0)
    sha256 = models.CharField(max_length=64, blank=True)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True)
    heartbeat_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-id",)
        verbose_name = "export"
        default_permissions = ("view", "add")
        constraints = (
            models.CheckConstraint(
                condition=Q(state__in=ExportState.values), name="export_state_known"
            ),
            models.CheckConstraint(
                condition=~Q(state=ExportState.COMPLETED)
                | (Q(finished_at__isnull=False) & ~Q(sha256="")),
                name="export_hashed_when_completed",
            ),
        )
        indexes = (
            # Counts the running exports before each download
            models.Index(
                fields=["heartbeat_at"],
                condition=Q(state=ExportState.RUNNING),
                name="export_running",
            ),
        )

    def __str__(self) -> str:
        return f"Export {self.pk}"

    def get_absolute_url(self) -> str:
        return reverse("admin:audit_exportrecord_change", args=[self.pk])
