"""Finds the row that an address of the admin names."""

from typing import TypeVar

from django.db.models import Model, QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404

Row = TypeVar("Row", bound=Model)


def row_or_404(rows: QuerySet[Row], written: object) -> Row:
    """Return the row with the id in an address; Http404 for none, and for what can be no id."""
    try:
        return get_object_or_404(rows, pk=written)
    except ValueError as error:
        raise Http404("This is not the id of an object.") from error
