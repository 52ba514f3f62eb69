"""Paginates every API list by keyset: `?cursor=`, `?page_size=`, `?ordering=`; never counts rows."""

import json
from collections.abc import Sequence
from typing import Any

from django.core.exceptions import ValidationError as ModelValidationError
from django.db import DataError
from django.db.models import Q, QuerySet
from rest_framework import pagination
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.views import APIView


class CursorPagination(pagination.CursorPagination):
    """Orders by the view's `ordering_fields` (indexed columns), with the primary key as tie-break."""

    page_size = 50
    max_page_size = 500
    page_size_query_param = "page_size"
    ordering_query_param = "ordering"
    ordering: Any = "-id"

    def paginate_queryset(
        self, queryset: Any, request: Request, view: Any = None
    ) -> list[Any] | None:
        """Return one page. Raises ValidationError for an invalid cursor."""
        self.request, self.base_url = request, request.build_absolute_uri()
        self.page_size = self.get_page_size(request)
        self.ordering = self.get_ordering(request, queryset, view)
        try:
            self.rows = self._read(queryset, self.decode_cursor(request))
        except (NotFound, ValueError, OverflowError, ModelValidationError, DataError) as error:
            if not request.query_params.get(self.cursor_query_param):
                raise
            sentence = (
                "This cursor does not belong to this list and ordering. Start again without it."
            )
            raise ValidationError({"cursor": [sentence]}) from error
        return self.rows

    def get_page_size(self, request: Request) -> int:
        """Return the requested page size, 500 at most. Raises ValidationError unless it is a positive number."""
        written = request.query_params.get(self.page_size_query_param) or str(self.page_size)
        number = int(written[:9]) if written.isascii() and written.isdigit() else 0
        if number < 1:
            raise ValidationError(
                {"page_size": [f"Write a number from 1 to {self.max_page_size}."]}
            )
        return min(number, self.max_page_size)

    def _read(self, queryset: Any, cursor: Any) -> list[Any]:
        """Read the page after the row that `cursor` names, or before it if the cursor is reversed.

        The cursor holds all columns of the ordering, including the key. So no row is skipped or repeated
        when many have the same time (a mass alert), or when rows come and go between two pages.
        """
        backwards = bool(cursor and cursor.reverse)
        order = [_turned(name) if backwards else name for name in self.ordering]
        queryset = queryset.order_by(*order)
        if named := bool(cursor and cursor.position is not None):
            queryset = queryset.filter(_after(order, _values(cursor.position, len(order))))
        rows = list(queryset[: self.page_size + 1])
        more, page = len(rows) > self.page_size, rows[: self.page_size]
        self.has_next, self.has_previous = (named, more) if backwards else (more, named)
        return page[::-1] if backwards else page

    def get_next_link(self) -> str | None:
        return self._link(self.rows[-1:], reverse=False) if self.has_next else None

    def get_previous_link(self) -> str | None:
        return self._link(self.rows[:1], reverse=True) if self.has_previous else None

    def _link(self, row: list[Any], *, reverse: bool) -> str:
        """Return the URL of the page beyond `row`; without a row, of the page at that end of the list."""
        position = json.dumps([_text(row[0], name) for name in self.ordering]) if row else None
        cursor: Any = pagination.Cursor(0, reverse, position)  # type: ignore[arg-type]
        return str(self.encode_cursor(cursor))

    def get_ordering(
        self, request: Request, queryset: QuerySet[Any], view: APIView
    ) -> tuple[str, ...]:
        allowed: dict[str, Any] = dict.fromkeys(getattr(view, "ordering_fields", ()))
        default = tuple(getattr(view, "ordering", None) or (self.ordering,))
        wanted = request.query_params.get(self.ordering_query_param, "")
        fields = tuple(field.strip() for field in wanted.split(",") if field.strip()) or default
        for name in fields:
            if wanted and name.removeprefix("-") not in allowed:
                known = ", ".join(sorted(allowed)) or "none"
                raise ValidationError(
                    {"ordering": [f"Cannot order by {name[:50]!r}. Available columns: {known}."]}
                )
        key = "-id" if fields[0].startswith("-") else "id"
        return fields if fields[-1].lstrip("-") == "id" else (*fields, key)

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        parameters: list[dict[str, Any]] = super().get_schema_operation_parameters(view)
        allowed = sorted(getattr(view, "ordering_fields", ()))
        for parameter in parameters:
            if parameter["name"] == self.ordering_query_param:
                parameter["description"] = (
                    f"One or more of {', '.join(allowed) or 'id'}, comma-separated; a leading `-` sorts descending."
                )
        return parameters


def _turned(name: str) -> str:
    return name[1:] if name.startswith("-") else f"-{name}"


def _text(row: Any, name: str) -> str:
    value = getattr(row, name.lstrip("-"))
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _values(position: str, count: int) -> list[str]:
    """Return the column values of a cursor position. Raises ValueError when it is invalid."""
    values = json.loads(position)
    if not isinstance(values, list) or len(values) != count:
        raise ValueError("not a position of this ordering")
    if not all(isinstance(value, str) and "\x00" not in value for value in values):
        raise ValueError("not the text of a column")
    return values


def _after(order: Sequence[str], values: Sequence[str]) -> Q:
    """Return the condition for rows after those values; the bound on the first column lets its index be used."""
    later, equal, first = Q(), Q(), Q()
    for name, value in zip(order, values, strict=True):
        column, less = name.lstrip("-"), name.startswith("-")
        later |= equal & Q(**{f"{column}__{'lt' if less else 'gt'}": value})
        first = first or Q(**{f"{column}__{'lte' if less else 'gte'}": value})
        equal &= Q(**{column: value})
    return first & later
