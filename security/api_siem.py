"""`siem-destinations/`: where the audit trail is forwarded to, and how far behind each destination is."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from audit.viewsets import PortalViewSet
from portal.core.api_help import described
from portal.core.problems import Conflict
from security.api_blocks import require_fresh
from security.models import Scope, SiemDestination
from security.siem import destinations

FROM_ENVIRONMENT = "This destination is set by SIEM_URL. Change it there."


class SiemDestinationSerializer(serializers.ModelSerializer[SiemDestination]):
    token = serializers.CharField(
        max_length=4000, write_only=True, required=False, allow_blank=True,
        help_text="Bearer token of an HTTPS destination. Write-only; an empty value deletes it.",
    )  # fmt: skip
    lag_seconds = serializers.SerializerMethodField(
        help_text="Age in seconds of the oldest entry that has not been sent."
    )

    class Meta:
        model = SiemDestination
        fields = ("id", "name", "url", "token", "format", "ca_pem", "max_bytes", "enabled", "managed", "sent",
                  "sent_at", "error", "failing_since", "lag_seconds", "created_at")  # fmt: skip
        read_only_fields = (
            "id",
            "managed",
            "sent",
            "sent_at",
            "error",
            "failing_since",
            "created_at",
        )
        extra_kwargs = described(
            url="`syslog+tcp://host:514`, `syslog+tls://host:6514`, or `https://host/path` for JSON lines by POST.",
            ca_pem="CA certificate of the receiver in PEM format. Default: the CAs of the system.",
            max_bytes="Maximum message size of the receiver in bytes; rsyslog: 8192.",
            managed="True if the destination is set by SIEM_URL and can only be changed there.",
            sent="Number of entries sent.",
            sent_at="When an entry was last sent.",
            error="Error of the last attempt; empty if it succeeded.",
            failing_since="Start of the current series of failed attempts.",
        )

    def get_lag_seconds(self, destination: SiemDestination) -> float:
        return destination.lag_seconds(at=timezone.now())


@extend_schema_view(list=extend_schema(filters=True))
class SiemDestinationViewSet(mixins.RetrieveModelMixin, PortalViewSet):
    """Destinations that the audit trail is forwarded to by syslog or HTTPS.

    Reading requires the scope `audit:read`, changing `security:write`.
    """

    queryset = SiemDestination.objects.with_oldest_waiting()
    serializer_class = SiemDestinationSerializer
    filterset_class = None
    read_scope = Scope.AUDIT_READ
    write_scope = Scope.SECURITY_WRITE
    person_permissions = {
        "create": "security.add_siemdestination",
        "partial_update": "security.change_siemdestination",
        "destroy": "security.delete_siemdestination",
    }
    lookup_value_regex = r"\d{1,18}"
    ordering = ("id",)

    @extend_schema(request=SiemDestinationSerializer, responses={201: SiemDestinationSerializer})
    def create(self, request: Request) -> Response:
        """Create a SIEM destination. It receives entries recorded from now on."""
        made = self._save(request, SiemDestination(), partial=False)
        return Response(self.get_serializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=SiemDestinationSerializer, responses=SiemDestinationSerializer)
    def partial_update(self, request: Request, pk: str | None = None) -> Response:
        """Update a SIEM destination. Forwarding continues where it left off."""
        return Response(
            self.get_serializer(self._save(request, self.get_object(), partial=True)).data
        )

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str | None = None) -> Response:
        """Delete a SIEM destination. Returns 409 if it is set by SIEM_URL."""
        require_fresh(request)
        destination = self.get_object()
        if destination.managed:
            raise Conflict(FROM_ENVIRONMENT)
        destination.delete()
        return Response(status=status.HTTP_204_NO_CONTENT)

    @staticmethod
    def _save(request: Request, destination: SiemDestination, *, partial: bool) -> SiemDestination:
        require_fresh(request)
        if destination.managed:
            raise Conflict(FROM_ENVIRONMENT)
        given = SiemDestinationSerializer(
            destination if destination.pk else None, data=request.data, partial=partial
        )
        given.is_valid(raise_exception=True)
        facts: dict[str, Any] = given.validated_data
        token = facts.pop("token", None)
        for name, value in facts.items():
            setattr(destination, name, value)
        return destinations.save(destination, token=token)


ROUTES = [("siem-destinations", SiemDestinationViewSet, "siem-destination")]
