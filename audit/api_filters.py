"""`audit/filters/`: filters of the trail under a name; one's own to change, shared ones to use."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from audit import saved_filters
from audit.export_models import SavedFilter
from audit.viewsets import PortalViewSet


class SavedFilterSerializer(serializers.ModelSerializer[SavedFilter]):
    owner = serializers.CharField(source="owner.username", read_only=True)
    query = serializers.DictField(
        child=serializers.CharField(max_length=200),
        help_text="Filters of `audit/entries/` and their values.",
    )

    class Meta:
        model = SavedFilter
        fields = ("id", "name", "query", "shared", "owner", "created_at")
        read_only_fields = ("id", "owner", "created_at")


@extend_schema_view(list=extend_schema(filters=True))
class SavedFilterViewSet(mixins.RetrieveModelMixin, PortalViewSet):
    """Filters of the trail that somebody kept; whoever reads the trail may keep some."""

    queryset = SavedFilter.objects.select_related("owner")
    serializer_class = SavedFilterSerializer
    filterset_class = None
    read_scope = "audit:read"
    write_scope = "audit:read"
    lookup_value_regex = r"\d{1,18}"
    ordering = ("id",)

    def get_queryset(self) -> QuerySet[SavedFilter]:
        return SavedFilter.objects.visible_to(self.request.user).select_related("owner")

    @extend_schema(request=SavedFilterSerializer, responses={201: SavedFilterSerializer})
    def create(self, request: Request) -> Response:
        """Keep a filter under a name that the account does not use yet."""
        saved = self._save(request, SavedFilter())
        return Response(SavedFilterSerializer(saved).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=SavedFilterSerializer, responses=SavedFilterSerializer)
    def update(self, request: Request, pk: str | None = None) -> Response:
        """Replace a filter of one's own."""
        return Response(SavedFilterSerializer(self._save(request, self.get_object())).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str | None = None) -> Response:
        """Delete a filter of one's own."""
        saved_filters.delete(self.get_object(), actor=request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @staticmethod
    def _save(request: Request, saved: SavedFilter) -> SavedFilter:
        given = SavedFilterSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        facts: dict[str, Any] = {"shared": False, **given.validated_data}
        return saved_filters.save(saved, actor=request.user, **facts)


ROUTES = [("audit/filters", SavedFilterViewSet, "audit-filter")]
