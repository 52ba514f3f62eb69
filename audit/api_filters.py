"""`audit/filters/`: saved filters of the audit trail; users change their own and use shared ones."""

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers

from audit import saved_filters
from audit.api_saved_queries import SavedQueryViewSet
from audit.export_models import SavedFilter
from portal.core.api_help import described


class SavedFilterSerializer(serializers.ModelSerializer[SavedFilter]):
    owner = serializers.CharField(
        source="owner.username", read_only=True, help_text="User name of the owner."
    )
    query = serializers.DictField(
        child=serializers.CharField(max_length=200),
        help_text='Query parameters of `audit/entries/`, for example `{"outcome": "failure"}`.',
    )

    class Meta:
        model = SavedFilter
        fields = ("id", "name", "query", "shared", "owner", "created_at")
        read_only_fields = ("id", "owner", "created_at")
        extra_kwargs = described(shared="Available to everybody who may read the audit trail.")


@extend_schema_view(list=extend_schema(filters=True))
class SavedFilterViewSet(SavedQueryViewSet):
    """Saved filters of the audit trail: your own and shared ones. Requires the scope `audit:read`."""

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
