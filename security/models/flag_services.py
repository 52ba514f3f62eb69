"""Model for the services that a flag concerns: one row for each, indexed for the timeline."""

from django.db import models


class FlagService(models.Model):
    """A service that a flag's evidence names: by slug, as in the trail, so that it outlives the service.

    A trigger (migration 0011) updates these rows when the slug of a service changes.
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
            # The timeline of one service, and the list filtered by it
            models.Index(fields=["slug", "-opened_at", "-flag"], name="flag_service_timeline"),
        )

    def __str__(self) -> str:
        return self.slug
