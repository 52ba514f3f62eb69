"""Which services a flag concerns: one row for each, in the order of the timeline."""

from django.db import models


class FlagService(models.Model):
    """A service that the evidence of a flag names: by slug, as the trail does, because it outlives the row.

    A trigger (migration 0011) takes these along when a service gets another slug.
    """

    flag = models.ForeignKey(
        "security.Flag", on_delete=models.CASCADE, related_name="services", db_index=False
    )
    slug = models.CharField(max_length=100)
    opened_at = models.DateTimeField(help_text="When the flag was opened; never changes.")

    class Meta:
        default_permissions = ()
        constraints = (
            # Also the index of "which services does this flag concern?"
            models.UniqueConstraint(fields=["flag", "slug"], name="flag_service_once"),
        )
        indexes = (
            # The timeline of one service, and its part of the list
            models.Index(fields=["slug", "-opened_at", "-flag"], name="flag_service_timeline"),
        )

    def __str__(self) -> str:
        return self.slug
