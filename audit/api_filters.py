"""`audit/filters/`: filters of the trail under a name; one's own to change, shared ones to use."""

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers

from audit import saved_filters
from audit.api_saved_queries import SavedQueryViewSet
from audit.export_models import SavedFilter


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
class SavedFilterViewSet(SavedQueryViewSet):
    """Filters of the trail that somebody kept; whoever reads the trail may keep some."""

    queryset = SavedFilter.objects.select_related("owner")
    serializer_class = SavedFilterSerializer
    read_scope = "audit:read"
    write_scope = "audit:read"
    person_permissions = {
        "create": "audit.add_savedfilter",
        "update": "audit.change_savedfilter",
        "destroy": "audit.delete_savedfilter",
    }
    service = saved_filters


ROUTES = [("audit/filters", SavedFilterViewSet, "audit-filter")]
