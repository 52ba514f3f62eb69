"""What the view sets of the API share: CSV of the filtered list, and queries bound to the caller."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.core.exceptions import ObjectDoesNotExist
from django.db import transaction
from django.db.models import Model
from django.http import Http404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import GenericViewSet

from audit import services as audit
from audit.services import Target
from portal.core import csv
from portal.core.filtering import refuse_unknown_format

CSV_PARAMETER = OpenApiParameter(
    "format",
    OpenApiTypes.STR,
    enum=["csv"],
    description="`csv` streams the whole filtered list as CSV, without pagination.",
)
CSV_CHUNK = 1000


class CsvListMixin:
    """Adds `?format=csv` to a list: the same filters, all rows, constant memory, one audit entry."""

    @extend_schema(parameters=[CSV_PARAMETER])
    def list(self: Any, request: Request, *args: Any, **kwargs: Any) -> Any:
        refuse_unknown_format(request)
        queryset = self.filter_queryset(self.get_queryset())
        if request.query_params.get("format") == "csv":
            return self._csv(request, queryset)
        page = self.paginate_queryset(queryset)
        if page is not None:
            return self.get_paginated_response(self.get_serializer(page, many=True).data)
        return Response(self.get_serializer(queryset, many=True).data)

    def _csv(self: Any, request: Request, queryset: Any) -> Any:
        name = self.basename
        serializer: BaseSerializer[Any] = self.get_serializer()
        fields = [n for n, f in serializer.fields.items() if not f.write_only]  # type: ignore[attr-defined]
        filters = {
            k: v
            for k, v in request.query_params.items()
            if k not in ("format", "cursor", "page_size")
        }
        audit.record(
            "data.exported",
            target=Target(f"api.{name}"),
            data={"filters": filters, "format": "csv", **self._of_service(request)},
        )
        return csv.response(name, fields, self._rows(queryset, fields))

    def _of_service(self: Any, request: Request) -> dict[str, Any]:
        """Return the service whose rows are carried out: only where the list is filtered by one, else these are all."""
        known = getattr(getattr(self, "filterset_class", None), "base_filters", {})
        return audit.service_data(
            request.query_params.get("service", "") if "service" in known else ""
        )

    def _rows(self: Any, queryset: Any, fields: Sequence[str]) -> Iterator[Sequence[Any]]:
        """Yield the rows by keyset: a cursor would make PostgreSQL write all of them to its disk first."""
        rows, last = queryset.order_by("pk"), 0
        while chunk := list(rows.filter(pk__gt=last)[:CSV_CHUNK]):
            last = chunk[-1].pk
            # One serializer for many: what it looks up, it looks up per chunk.
            for data in self.get_serializer(chunk, many=True).data:
                yield [data[field] for field in fields]


class PortalViewSet(CsvListMixin, GenericViewSet[Any]):
    """Base of the portal's view sets. `read_scope` and `write_scope` name what a token needs."""

    read_scope = "read"
    write_scope = "admin"
    ordering_fields: tuple[str, ...] = ("id",)


@contextmanager
def locked(row: Model) -> Iterator[None]:
    """Hold the row as it is now for a change: since it was read, another request may have written or deleted it."""
    with transaction.atomic():
        rows = type(row)._default_manager.select_for_update(of=("self",), no_key=True)
        try:
            row.refresh_from_db(from_queryset=rows)
        except ObjectDoesNotExist as error:
            raise Http404 from error
        yield


class PortalModelViewSet(
    mixins.RetrieveModelMixin,
    mixins.CreateModelMixin,
    mixins.UpdateModelMixin,
    mixins.DestroyModelMixin,
    PortalViewSet,
):
    """Base for rows that are listed, read, made, changed and deleted.

    Two requests that change different fields of a row both count, and of two that delete it one does.
    """

    def perform_update(self, serializer: Any) -> None:
        with locked(serializer.instance):
            serializer.save()

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        instance = self.get_object()
        with locked(instance):
            self.perform_destroy(instance)
        return Response(status=status.HTTP_204_NO_CONTENT)
