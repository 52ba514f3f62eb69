"""Writes of saved filters, for the admin and the API."""

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction

from audit import filters, services
from audit.export_models import SavedFilter


@transaction.atomic
def save(
    saved: SavedFilter, *, name: str, query: Mapping[str, Any], shared: bool, actor: Any
) -> SavedFilter:
    """Create or change a filter. Raises ValidationError, or PermissionDenied for another's."""
    is_new = saved.pk is None
    if is_new:
        saved.owner = actor
    elif saved.owner_id != actor.pk:
        raise PermissionDenied
    saved.name, saved.shared, saved.query = name.strip(), shared, filters.checked(query)
    if not saved.query:
        raise ValidationError({"query": "A filter without a condition is the whole list."})
    saved.full_clean()
    saved.save()
    facts = {"query": saved.query, "shared": shared}
    verb = "audit.filter_created" if is_new else "audit.filter_changed"
    services.record(verb, actor=actor, target=saved, data=facts)
    return saved


@transaction.atomic
def delete(saved: SavedFilter, *, actor: Any) -> None:
    """Delete a filter. Raises PermissionDenied for another's."""
    if saved.owner_id != actor.pk and not actor.is_superuser:
        raise PermissionDenied
    services.record("audit.filter_deleted", actor=actor, target=saved)
    saved.delete()
