"""Writes saved filters, for the admin and the API."""

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from audit import filters, saved_queries, services
from audit.export_models import SavedFilter


def checked(query: Mapping[str, Any]) -> dict[str, str]:
    """Return the query in the form to store. Raises ValidationError."""
    if found := filters.checked(query):
        return found
    raise ValidationError(
        {"query": "A filter needs at least one condition; without one it would be the whole list."}
    )


@transaction.atomic
def save(
    saved: SavedFilter, *, name: str, query: Mapping[str, Any], shared: bool, actor: Any
) -> SavedFilter:
    """Create or change a filter. Raises ValidationError, or PermissionDenied for another user's filter."""
    is_new = saved_queries.write(
        saved, name=name, query=query, shared=shared, actor=actor, check=checked
    )
    verb = "audit.filter_created" if is_new else "audit.filter_changed"
    services.record(verb, actor=actor, target=saved, data=saved_queries.audit_data(saved))
    return saved


@transaction.atomic
def delete(saved: SavedFilter, *, actor: Any) -> None:
    """Delete a filter. Raises PermissionDenied for another user's filter."""
    saved_queries.require_deletable(saved, actor=actor)
    services.record("audit.filter_deleted", actor=actor, target=saved)
    saved.delete()
