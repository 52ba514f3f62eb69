"""`audit/entries/`: the trail, newest first, filtered, also as CSV."""

from ipaddress import ip_address

import django_filters as filters
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, serializers

from audit.models import AuditEntry, AuditEntryQuerySet
from audit.viewsets import PortalViewSet


class AuditEntrySerializer(serializers.ModelSerializer[AuditEntry]):
    class Meta:
        model = AuditEntry
        fields = (
            "id", "uid", "occurred_at", "recorded_at", "kind", "category", "type", "action", "outcome", "reason",
            "severity", "actor_type", "actor_id", "actor_name", "actor_roles", "auth_method", "auth_factors",
            "session_fp", "token_fp", "source_ip", "source_ip_chain", "user_agent", "http_method", "url_path",
            "http_status", "request_id", "client_request_id", "trace_id", "target_type", "target_id",
            "target_name", "targets", "changes", "data", "writer_id", "writer_seq",
        )  # fmt: skip
        read_only_fields = fields


class AuditEntryFilter(filters.FilterSet):
    action = filters.CharFilter()
    outcome = filters.ChoiceFilter(choices=AuditEntry.Outcome.choices)
    actor = filters.CharFilter(field_name="actor_name", help_text="Exactly the name of who acted.")
    target_type = filters.CharFilter()
    target_id = filters.CharFilter()
    source_ip = filters.CharFilter(method="from_address")
    request_id = filters.CharFilter()
    since = filters.IsoDateTimeFilter(field_name="recorded_at", lookup_expr="gte")
    until = filters.IsoDateTimeFilter(field_name="recorded_at", lookup_expr="lt")

    class Meta:
        model = AuditEntry
        fields: tuple[str, ...] = ()

    def from_address(
        self, queryset: AuditEntryQuerySet, _name: str, value: str
    ) -> AuditEntryQuerySet:
        try:
            return queryset.filter(source_ip=str(ip_address(value)))
        except ValueError:
            return queryset.none()


@extend_schema_view(list=extend_schema(filters=True))
class AuditEntryViewSet(mixins.RetrieveModelMixin, PortalViewSet):
    """The audit trail, newest first. Reading needs the scope `audit:read`."""

    queryset = AuditEntry.objects.all()
    serializer_class = AuditEntrySerializer
    filterset_class = AuditEntryFilter
    read_scope = "audit:read"
    write_scope = "audit:write"
    ordering = ("-recorded_at",)
    ordering_fields = ("recorded_at", "id")


ROUTES = [("audit/entries", AuditEntryViewSet, "audit-entry")]
