"""Log searches kept under a name: the parameters of the page, never a line."""

from urllib.parse import urlencode

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone


class SavedSearchQuerySet(models.QuerySet["SavedSearch"]):
    def visible_to(self, user: object) -> "SavedSearchQuerySet":
        """Those that are shared, and the account's own."""
        return self.filter(Q(shared=True) | Q(owner_id=getattr(user, "pk", None)))


class SavedSearch(models.Model):
    """A log search under a name; its `query` holds the parameters of the page."""

    name = models.CharField(max_length=100)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", editable=False
    )
    shared = models.BooleanField(default=False, help_text="Shown to everybody who sees the logs.")
    query = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = SavedSearchQuerySet.as_manager()

    class Meta:
        ordering = ("name", "id")
        verbose_name_plural = "saved searches"
        constraints = (
            models.UniqueConstraint(fields=["owner", "name"], name="saved_search_once_per_owner"),
        )

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return f"{reverse('admin:logs')}?{urlencode(self.query)}"
