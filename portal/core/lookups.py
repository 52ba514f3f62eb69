"""Finds the row that an admin URL names."""

from typing import TypeVar

from django.db.models import Model, QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404

Row = TypeVar("Row", bound=Model)


def row_or_404(rows: QuerySet[Row], written: object) -> Row:
    """Return the row with the id from a URL. Raises Http404 if there is none, or if it cannot be an id."""
    try:
        return get_object_or_404(rows, pk=written)
    except ValueError as error:
        raise Http404("This is not the id of an object.") from error
