"""Writes of saved filters, for the admin and the API."""

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from audit import filters, kept, services
from audit.export_models import SavedFilter


def checked(query: Mapping[str, Any]) -> dict[str, str]:
    """Return the query as it can be kept. Raises ValidationError."""
    if found := filters.checked(query):
        return found
    raise ValidationError({"query": "A filter without a condition is the whole list."})


@transaction.atomic
def save(
    saved: SavedFilter, *, name: str, query: Mapping[str, Any], shared: bool, actor: Any
) -> SavedFilter:
    """Create or change a filter. Raises ValidationError, or PermissionDenied for another's."""
    is_new = kept.write(saved, name=name, query=query, shared=shared, actor=actor, check=checked)
    verb = "audit.filter_created" if is_new else "audit.filter_changed"
    services.record(verb, actor=actor, target=saved, data=kept.facts(saved))
    return saved


@transaction.atomic
def delete(saved: SavedFilter, *, actor: Any) -> None:
    """Delete a filter. Raises PermissionDenied for another's."""
    kept.require_deletable(saved, actor=actor)
    services.record("audit.filter_deleted", actor=actor, target=saved)
    saved.delete()
