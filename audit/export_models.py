"""What auditors keep: filters by name, and one row for each export of the trail."""

from urllib.parse import urlencode

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone


class SavedFilterQuerySet(models.QuerySet["SavedFilter"]):
    def visible_to(self, user: object) -> "SavedFilterQuerySet":
        """Those that are shared, and the account's own."""
        return self.filter(Q(shared=True) | Q(owner_id=getattr(user, "pk", None)))


class SavedFilter(models.Model):
    """A filter of the trail under a name; its `query` holds the parameters of the list."""

    name = models.CharField(max_length=100)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", editable=False
    )
    shared = models.BooleanField(default=False, help_text="Shown to everybody who sees the trail.")
    query = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = SavedFilterQuerySet.as_manager()

    class Meta:
        ordering = ("name", "id")
        constraints = (
            models.UniqueConstraint(fields=["owner", "name"], name="saved_filter_once_per_owner"),
        )

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return f"{reverse('admin:audit_auditentry_changelist')}?{urlencode(self.query)}"
