"""Keyset pagination for every list: `?cursor=`, `?page_size=`, `?ordering=`; never a count."""

from typing import Any

from django.core.exceptions import ValidationError as ModelValidationError
from django.db import DataError
from django.db.models import QuerySet
from rest_framework import pagination
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.views import APIView


class CursorPagination(pagination.CursorPagination):
    """Orders by what the view allows in `ordering_fields` (indexed columns), with the key as tie-break."""

    page_size = 50
    max_page_size = 500
    page_size_query_param = "page_size"
    ordering_query_param = "ordering"
    ordering: Any = "-id"

    # A mass alert gives thousands of rows the same time; the offset counts within that time.
    offset_cutoff = 1_000_000

    def paginate_queryset(
        self, queryset: Any, request: Request, view: Any = None
    ) -> list[Any] | None:
        """Return one page. Raises ValidationError for a cursor that no page gave."""
        try:
            return super().paginate_queryset(queryset, request, view)
        except (NotFound, ValueError, OverflowError, ModelValidationError, DataError) as error:
            if not request.query_params.get(self.cursor_query_param):
                raise
            sentence = "No list in this ordering gave this cursor. Begin again without it."
            raise ValidationError({"cursor": [sentence]}) from error

    def get_ordering(
        self, request: Request, queryset: QuerySet[Any], view: APIView
    ) -> tuple[str, ...]:
        allowed: dict[str, Any] = dict.fromkeys(getattr(view, "ordering_fields", ()))
        default = tuple(getattr(view, "ordering", None) or (self.ordering,))
        wanted = request.query_params.get(self.ordering_query_param, "")
        fields = tuple(field.strip() for field in wanted.split(",") if field.strip()) or default
        for name in fields:
            if wanted and name.removeprefix("-") not in allowed:
                known = ", ".join(sorted(allowed)) or "nothing else"
                raise ValidationError(
                    {"ordering": [f"Cannot order by {name[:50]!r}. Known: {known}."]}
                )
        key = "-id" if fields[0].startswith("-") else "id"
        return fields if fields[-1].lstrip("-") == "id" else (*fields, key)

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        parameters: list[dict[str, Any]] = super().get_schema_operation_parameters(view)
        allowed = sorted(getattr(view, "ordering_fields", ()))
        for parameter in parameters:
            if parameter["name"] == self.ordering_query_param:
                parameter["description"] = (
                    f"One or more of {', '.join(allowed) or 'id'}; a leading - reverses."
                )
        return parameters
