"""What people keep under a name, filters of the trail and searches of logs: their row, and who may write it."""

from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import models
from django.db.models import Q
from django.utils import timezone

Check = Callable[[Mapping[str, Any]], dict[str, str]]


class KeptQuerySet(models.QuerySet[Any]):
    def visible_to(self, user: object) -> "KeptQuerySet":
        """Those that are shared, and the account's own."""
        return self.filter(Q(shared=True) | Q(owner_id=getattr(user, "pk", None)))


class Kept(models.Model):
    """A query under a name: the parameters of the page that it belongs to. It is its owner's to change."""

    name = models.CharField(max_length=100)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", editable=False
    )
    shared = models.BooleanField(default=False)
    query = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = KeptQuerySet.as_manager()

    class Meta:
        abstract = True
        ordering = ("name", "id")

    def __str__(self) -> str:
        return self.name


def write(
    kept: Kept, *, name: str, query: Mapping[str, Any], shared: bool, actor: Any, check: Check
) -> bool:
    """Create or change a row with what `check` makes of the query; return whether it is new.

    Raises ValidationError, or PermissionDenied for another's.
    """
    is_new = kept.pk is None
    if is_new:
        kept.owner = actor
    elif kept.owner_id != actor.pk:
        raise PermissionDenied
    kept.name, kept.shared, kept.query = name.strip(), shared, check(query)
    kept.full_clean()
    kept.save()
    return is_new


def facts(kept: Kept) -> dict[str, Any]:
    """Return what an entry of the trail says of a row that was written."""
    return {"query": kept.query, "shared": kept.shared}


def require_deletable(kept: Kept, *, actor: Any) -> None:
    """Raise PermissionDenied for another's, except to a superuser."""
    if kept.owner_id != actor.pk and not actor.is_superuser:
        raise PermissionDenied
