"""`logs/searches/`: saved log searches; users change their own and use shared ones."""

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers

from audit.api_saved_queries import SavedQueryViewSet
from monitoring.logs import saved as searches
from monitoring.logs.models import SavedSearch


class SavedSearchSerializer(serializers.ModelSerializer[SavedSearch]):
    owner = serializers.CharField(
        source="owner.username", read_only=True, help_text="User name of the owner."
    )
    query = serializers.DictField(
        child=serializers.CharField(max_length=2000),
        help_text="Query parameters of `logs/search/`: `q`, `service`, `host`, `level`, `range`.",
    )

    class Meta:
        model = SavedSearch
        fields = ("id", "name", "query", "shared", "owner", "created_at")
        read_only_fields = ("id", "owner", "created_at")


@extend_schema_view(list=extend_schema(filters=True))
class SavedSearchViewSet(SavedQueryViewSet):
    """Saved log searches: your own and shared ones."""

    queryset = SavedSearch.objects.select_related("owner")
    serializer_class = SavedSearchSerializer
    write_scope = "monitoring:write"
    service = searches


ROUTES = [("logs/searches", SavedSearchViewSet, "saved-search")]
