"""`logs/searches/`: log searches under a name; one's own to change, shared ones to use."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from audit.viewsets import PortalViewSet
from monitoring.logs import saved as searches
from monitoring.logs.models import SavedSearch


class SavedSearchSerializer(serializers.ModelSerializer[SavedSearch]):
    owner = serializers.CharField(source="owner.username", read_only=True)
    query = serializers.DictField(
        child=serializers.CharField(max_length=2000),
        help_text="Of the parameters of `logs/search/`: q, service, host, level, range.",
    )

    class Meta:
        model = SavedSearch
        fields = ("id", "name", "query", "shared", "owner", "created_at")
        read_only_fields = ("id", "owner", "created_at")


@extend_schema_view(list=extend_schema(filters=True))
class SavedSearchViewSet(mixins.RetrieveModelMixin, PortalViewSet):
    """Log searches that somebody kept."""

    queryset = SavedSearch.objects.select_related("owner")
    serializer_class = SavedSearchSerializer
    filterset_class = None
    write_scope = "monitoring:write"
    lookup_value_regex = r"\d{1,18}"
    ordering = ("id",)

    def get_queryset(self) -> QuerySet[SavedSearch]:
        return SavedSearch.objects.visible_to(self.request.user).select_related("owner")

    @extend_schema(request=SavedSearchSerializer, responses={201: SavedSearchSerializer})
    def create(self, request: Request) -> Response:
        """Keep a search under a name that the account does not use yet."""
        saved = self._save(request, SavedSearch())
        return Response(SavedSearchSerializer(saved).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=SavedSearchSerializer, responses=SavedSearchSerializer)
    def update(self, request: Request, pk: str | None = None) -> Response:
        """Replace a search of one's own."""
        return Response(SavedSearchSerializer(self._save(request, self.get_object())).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str | None = None) -> Response:
        """Delete a search of one's own."""
        searches.delete(self.get_object(), actor=request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @staticmethod
    def _save(request: Request, saved: SavedSearch) -> SavedSearch:
        given = SavedSearchSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        facts: dict[str, Any] = {"shared": False, **given.validated_data}
        return searches.save(saved, actor=request.user, **facts)


ROUTES = [("logs/searches", SavedSearchViewSet, "saved-search")]
