"""`allow-list/`: thin views over the services."""

from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from audit.viewsets import PortalViewSet
from portal.core.api_help import described
from security import blocks, subjects
from security.api_blocks import require_fresh
from security.models import AllowEntry, Scope, SubjectKind


class AllowEntrySerializer(serializers.ModelSerializer[AllowEntry]):
    class Meta:
        model = AllowEntry
        fields = ("id", "kind", "value", "name", "reason", "created_at", "created_by")
        read_only_fields = fields
        extra_kwargs = described(
            value="IP address, network in CIDR notation, or id of the account or token.",
            name="Name of the account or token.",
            created_by="Who added the entry.",
        )


class NewAllowEntrySerializer(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=SubjectKind.choices)
    value = serializers.CharField(
        max_length=200,
        help_text="IP address, network in CIDR notation, user name, or id of a token.",
    )
    reason = serializers.CharField(max_length=500)


@extend_schema_view(list=extend_schema(filters=True))
class AllowEntryViewSet(mixins.RetrieveModelMixin, PortalViewSet):
    """The allow-list: addresses, networks, accounts and tokens that are never blocked."""

    queryset = AllowEntry.objects.all()
    serializer_class = AllowEntrySerializer
    filterset_class = None
    read_permission = "security.view_allowentry"
    write_scope = Scope.SECURITY_WRITE
    person_permissions = {
        "create": "security.add_allowentry",
        "destroy": "security.delete_allowentry",
    }
    lookup_value_regex = r"\d{1,18}"
    ordering = ("id",)

    @extend_schema(request=NewAllowEntrySerializer, responses={201: AllowEntrySerializer})
    def create(self, request: Request) -> Response:
        """Add a subject to the allow-list."""
        require_fresh(request)
        given = NewAllowEntrySerializer(data=request.data)
        given.is_valid(raise_exception=True)
        facts = given.validated_data
        entry = blocks.allow(
            subjects.parse(facts["kind"], facts["value"]), reason=facts["reason"], actor=None
        )
        return Response(AllowEntrySerializer(entry).data, status=status.HTTP_201_CREATED)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str | None = None) -> Response:
        """Remove a subject from the allow-list."""
        require_fresh(request)
        blocks.disallow(self.get_object(), actor=None)
        return Response(status=status.HTTP_204_NO_CONTENT)


ROUTES = [("allow-list", AllowEntryViewSet, "allow-entry")]
