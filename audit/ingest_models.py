"""Model for the ids of entries received from other applications, so that sending them again is harmless."""

from django.db import models
from django.utils import timezone


class IngestedUid(models.Model):
    """One `uid` of one application.

    The trail is partitioned by the time of recording, so it cannot have a unique index on `uid` alone.
    This small table can; its rows are deleted after a week.
    """

    application = models.CharField(max_length=200)
    uid = models.UUIDField()
    recorded_at = models.DateTimeField(default=timezone.now)

    class Meta:
        default_permissions = ()
        constraints = (
            # Finds entries already written, also when two requests send the same one at once
            models.UniqueConstraint(fields=["application", "uid"], name="ingested_once"),
        )
        indexes = (
            # Rows that the hourly tick deletes
            models.Index(fields=["recorded_at"], name="ingested_age"),
        )

    def __str__(self) -> str:
        return f"{self.uid} of {self.application}"
