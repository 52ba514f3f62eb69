"""Which entries of other applications have been written: what makes sending them again harmless."""

from django.db import models
from django.utils import timezone


class IngestedUid(models.Model):
    """One `uid` of one application.

    The trail is partitioned by the time of recording, so no unique index over it can hold `uid`
    alone; this small table can, and forgets after a week.
    """

    application = models.CharField(max_length=200)
    uid = models.UUIDField()
    recorded_at = models.DateTimeField(default=timezone.now)

    class Meta:
        default_permissions = ()
        constraints = (
            # "Has this been written?", and the answer to two that ask at once
            models.UniqueConstraint(fields=["application", "uid"], name="ingested_once"),
        )
        indexes = (
            # What the hourly tick forgets
            models.Index(fields=["recorded_at"], name="ingested_age"),
        )

    def __str__(self) -> str:
        return f"{self.uid} of {self.application}"
