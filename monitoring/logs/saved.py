"""Writes saved log searches, for the admin and the API."""

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from audit import saved_queries
from audit import services as audit
from monitoring.logs.models import SavedSearch
from monitoring.logs.parameters import ParameterError, parse_parameters

SAVED_PARAMETERS = ("q", "service", "host", "level", "range")


def checked(query: Mapping[str, Any]) -> dict[str, str]:
    """Return the parameters to store: all but absolute times and cursors. Raises ValidationError."""
    written = {name: str(query[name]).strip() for name in SAVED_PARAMETERS if query.get(name)}
    if unknown := set(query) - {
        *SAVED_PARAMETERS,
        "since",
        "until",
        "around",
        "minutes",
        "cursor",
        "context",
    }:
        raise ValidationError(
            f"A search has no parameter {sorted(unknown)[0][:50]!r}. Available parameters:"
            f" {', '.join(SAVED_PARAMETERS)}."
        )
    try:
        parse_parameters(written, at=timezone.now())
    except ParameterError as error:
        raise ValidationError(str(error)) from error
    if not written:
        raise ValidationError("Save at least a text or a filter, such as level=error.")
    return written


@transaction.atomic
def save(
    saved: SavedSearch, *, name: str, query: Mapping[str, Any], shared: bool, actor: Any
) -> SavedSearch:
    """Create or change a search. Raises ValidationError, or PermissionDenied for another user's search."""
    is_new = saved_queries.write(
        saved, name=name, query=query, shared=shared, actor=actor, check=checked
    )
    verb = "search.created" if is_new else "search.changed"
    audit.record(verb, actor=actor, target=saved, data=saved_queries.audit_data(saved))
    return saved


@transaction.atomic
def delete(saved: SavedSearch, *, actor: Any) -> None:
    """Delete a search. Raises PermissionDenied for another user's search."""
    saved_queries.require_deletable(saved, actor=actor)
    audit.record("search.deleted", actor=actor, target=saved)
    saved.delete()
