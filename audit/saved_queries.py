"""The base of saved queries (filters of the audit trail, log searches): the model, and who may write it."""

from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import models
from django.db.models import Q
from django.utils import timezone

Check = Callable[[Mapping[str, Any]], dict[str, str]]


class SavedQuerySet(models.QuerySet[Any]):
    def visible_to(self, user: object) -> "SavedQuerySet":
        """Return shared queries, and the user's own."""
        return self.filter(Q(shared=True) | Q(owner_id=getattr(user, "pk", None)))


class SavedQuery(models.Model):
    """A named query: the parameters of the page it belongs to. Only its owner may change it."""

    name = models.CharField(max_length=100)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", editable=False
    )
    shared = models.BooleanField(default=False)
    query = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = SavedQuerySet.as_manager()

    class Meta:
        abstract = True
        ordering = ("name", "id")

    def __str__(self) -> str:
        return self.name


def write(
    saved: SavedQuery,
    *,
    name: str,
    query: Mapping[str, Any],
    shared: bool,
    actor: Any,
    check: Check,
) -> bool:
    """Create or change a row with the query as `check` returns it; return whether it is new.

    Raises ValidationError, or PermissionDenied when the row belongs to another user.
    """
    is_new = saved.pk is None
    if is_new:
        saved.owner = actor
    elif saved.owner_id != actor.pk:
        raise PermissionDenied
    saved.name, saved.shared, saved.query = name.strip(), shared, check(query)
    saved.full_clean()
    saved.save()
    return is_new


def audit_data(saved: SavedQuery) -> dict[str, Any]:
    """Return the `data` of the audit entry about a row that was written."""
    return {"query": saved.query, "shared": saved.shared}


def require_deletable(saved: SavedQuery, *, actor: Any) -> None:
    """Raise PermissionDenied when the row belongs to another user, unless `actor` is a superuser."""
    if saved.owner_id != actor.pk and not actor.is_superuser:
        raise PermissionDenied
