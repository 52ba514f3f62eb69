"""`audit/exports/`: the filtered audit trail as CSV, downloaded once, with its SHA-256."""

from typing import Any

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, serializers, status
from rest_framework.decorators import action
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from audit import exports
from audit.export_models import ExportRecord
from audit.viewsets import PortalViewSet
from portal.core.api_help import described
from portal.core.problems import Conflict
from security.api_blocks import PlainTextRenderer, require_fresh


class ExportSerializer(serializers.ModelSerializer[ExportRecord]):
    class Meta:
        model = ExportRecord
        fields = ("id", "requested_by", "query", "state", "estimated_rows", "rows", "bytes", "sha256", "error",
                  "created_at", "started_at", "finished_at")  # fmt: skip
        read_only_fields = fields
        extra_kwargs = described(
            requested_by="User or token that created the export.",
            query="Filters of `audit/entries/` that select the entries.",
            estimated_rows="Number of rows as estimated by PostgreSQL.",
            rows="Number of rows streamed.",
            bytes="Number of bytes streamed.",
            sha256="SHA-256 of the CSV in hexadecimal, to verify the download.",
            error="Why the export failed.",
        )


class NewExportSerializer(serializers.Serializer[Any]):
    query = serializers.DictField(
        child=serializers.CharField(max_length=200),
        default=dict,
        help_text="Query parameters of `audit/entries/`. Default: the whole audit trail.",
    )


class CsvRenderer(PlainTextRenderer):
    """Lets a client ask for CSV; errors are still JSON."""

    media_type = "text/csv"
    format = "csv"


def download(export: ExportRecord, *, actor: Any) -> StreamingHttpResponse:
    """Return the export as a streamed file. Raises BusyError, SpentError."""
    reply = StreamingHttpResponse(
        exports.begin(export, actor=actor), content_type="text/csv; charset=utf-8"
    )
    reply["Content-Disposition"] = f'attachment; filename="audit-{export.pk}.csv"'
    reply["X-Accel-Buffering"] = "no"  # a buffering proxy would hide the progress
    return reply


@extend_schema_view(list=extend_schema(filters=True))
class ExportViewSet(mixins.RetrieveModelMixin, PortalViewSet):
    """Exports of the audit trail as CSV, which can be downloaded once. Requires the scope `audit:read`."""

    queryset = ExportRecord.objects.all()
    serializer_class = ExportSerializer
    filterset_class = None
    read_scope = "audit:read"
    write_scope = "audit:read"
    person_permissions = dict.fromkeys(("create", "download", "cancel"), "audit.add_exportrecord")
    lookup_value_regex = r"\d{1,18}"
    ordering = ("-id",)

    @extend_schema(request=NewExportSerializer, responses={201: ExportSerializer})
    def create(self, request: Request) -> Response:
        """Create an export. A relative `last` filter is converted to a fixed `since`."""
        require_fresh(request)
        given = NewExportSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        export = exports.create(given.validated_data["query"], actor=None)
        return Response(ExportSerializer(export).data, status=status.HTTP_201_CREATED)

    @extend_schema(responses={(200, "text/csv"): OpenApiTypes.BINARY}, filters=False)
    @action(
        detail=True, pagination_class=None, filterset_class=None, renderer_classes=[JSONRenderer, CsvRenderer]
    )  # fmt: skip
    def download(self, request: Request, pk: str | None = None) -> Any:
        """Download an export as CSV. Returns 409 if it was downloaded before or too many exports are running."""
        require_fresh(request)
        try:
            return download(self.get_object(), actor=None)
        except (exports.BusyError, exports.SpentError) as error:
            raise Conflict(str(error)) from error

    @extend_schema(request=None, responses=ExportSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str | None = None) -> Response:
        """Cancel a waiting or running export. Returns 409 if it has ended."""
        if not exports.cancel(self.get_object(), actor=None):
            raise Conflict("The export has already ended.")
        return Response(ExportSerializer(self.get_object()).data)


ROUTES = [("audit/exports", ExportViewSet, "audit-export")]
