"""Model for saved log searches: the parameters of the page, never log lines."""

from urllib.parse import urlencode

from django.db import models
from django.urls import reverse

from audit.saved_queries import SavedQuery


class SavedSearch(SavedQuery):
    """A named log search; `query` contains the parameters of the page."""

    shared = models.BooleanField(
        default=False, help_text="Available to everybody who may see the logs."
    )

    class Meta(SavedQuery.Meta):
        abstract = False
        verbose_name_plural = "saved searches"
        constraints = (
            models.UniqueConstraint(fields=["owner", "name"], name="saved_search_once_per_owner"),
        )

    def get_absolute_url(self) -> str:
        return f"{reverse('admin:logs')}?{urlencode(self.query)}"
