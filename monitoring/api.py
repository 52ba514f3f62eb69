"""`upstreams/` and their connection test."""

from typing import Any

import django_filters as filters
from django.db.models import ProtectedError
from django.utils import timezone
from drf_spectacular.utils import (
    extend_schema,
    extend_schema_field,
    extend_schema_view,
)
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from audit.viewsets import PortalModelViewSet
from monitoring import connection_test
from portal.core.api_help import described
from portal.core.models import Freshness, Upstream, UpstreamKind
from portal.core.problems import Conflict
from portal.core.validators import (
    validate_options,
    validate_server_urls,
)


class CredentialsSerializer(serializers.Serializer[Any]):
    """Credentials for the server: HTTP basic authentication or a token."""

    username = serializers.CharField(required=False, allow_blank=True, max_length=200)
    password = serializers.CharField(required=False, allow_blank=True, max_length=500)
    token = serializers.CharField(
        required=False, allow_blank=True, max_length=4000, help_text="Bearer token or API key."
    )


class UpstreamSerializer(serializers.ModelSerializer[Upstream]):
    freshness = serializers.SerializerMethodField(help_text="How up to date the polled data is.")
    kind = serializers.ChoiceField(choices=UpstreamKind.servers())
    url = serializers.CharField(
        max_length=1000, validators=[validate_server_urls],
        help_text="Base URL. Separate the members of an Alertmanager cluster by commas.",
    )  # fmt: skip
    options = serializers.JSONField(
        required=False, validators=[validate_options], help_text="Options that depend on `kind`."
    )
    credentials = CredentialsSerializer(required=False, write_only=True)
    has_credentials = serializers.SerializerMethodField(help_text="Whether credentials are stored.")

    class Meta:
        model = Upstream
        fields = (
            "id", "name", "kind", "url", "enabled", "managed", "interval_seconds", "options", "credentials",
            "has_credentials", "freshness", "attempted_at", "succeeded_at", "duration_seconds", "error",
            "error_since", "warning", "clock_skew_seconds", "settling_since", "settling_reason", "observed",
        )  # fmt: skip
        read_only_fields = (
            "managed", "attempted_at", "succeeded_at", "duration_seconds", "error", "error_since", "warning",
            "clock_skew_seconds", "settling_since", "settling_reason", "observed",
        )  # fmt: skip
        extra_kwargs = described(
            name="Unique name, used in URLs and by `manage.py poll NAME`.",
            managed="True if name, kind and URL are set by environment variables.",
            attempted_at="When the last poll was made.",
            succeeded_at="When a poll last succeeded.",
            duration_seconds="Duration of the last poll in seconds.",
            error="Error of the last poll; empty if it succeeded.",
            error_since="Since when polls have been failing.",
            warning="Problem that does not make polls fail; may be empty.",
            clock_skew_seconds="Clock of the server minus clock of the portal, in seconds.",
            settling_since="Since when resolving alerts has been postponed; null if it is not.",
            settling_reason="Why resolving alerts is postponed.",
            observed="Facts found by polling, such as the version of the server.",
        )

    @extend_schema_field(serializers.ChoiceField(choices=Freshness.choices))
    def get_freshness(self, upstream: Upstream) -> str:
        return str(upstream.freshness(at=timezone.now()))

    def get_has_credentials(self, upstream: Upstream) -> bool:
        return bool(upstream.credentials)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if self.instance and self.instance.managed and {"url", "kind", "name"} & attrs.keys():
            raise ValidationError(
                {"url": ["This upstream is set by the environment. Change it there."]}
            )
        if self.instance and attrs.get("kind", self.instance.kind) != self.instance.kind:
            raise ValidationError({"kind": ["The kind cannot be changed. Add another upstream."]})
        if self._moves_credentials(attrs):
            sentence = "The address changes to another server. Send the credentials again, or {} to delete them."
            raise ValidationError({"credentials": [sentence]})
        return attrs

    def update(self, instance: Upstream, validated_data: dict[str, Any]) -> Upstream:
        """Write what was sent, and no more: a poll may be writing the other columns at this moment."""
        for name, value in validated_data.items():
            setattr(instance, name, value)
        instance.save(update_fields=[*validated_data])
        return instance

    def _moves_credentials(self, attrs: dict[str, Any]) -> bool:
        """True when stored credentials would be sent to a server they were not entered for."""
        row = self.instance
        if row is None or not row.credentials or "credentials" in attrs or "url" not in attrs:
            return False
        return row.moves_to(attrs["url"])


class ConnectionTestSerializer(serializers.Serializer[Any]):
    ok = serializers.BooleanField(help_text="Whether the server responded as expected.")
    sentence = serializers.CharField(help_text="Result of the test.")
    warnings = serializers.ListField(
        child=serializers.CharField(),
        help_text="Other problems of a server that does respond.",
    )


class UpstreamFilter(filters.FilterSet):
    class Meta:
        model = Upstream
        fields = ("kind", "enabled", "managed", "name")


@extend_schema_view(list=extend_schema(filters=True))
class UpstreamViewSet(PortalModelViewSet):
    """Upstreams: the servers the portal polls, with the freshness of their data."""

    queryset = Upstream.objects.servers().order_by("id")
    serializer_class = UpstreamSerializer
    filterset_class = UpstreamFilter
    ordering = ("id",)
    ordering_fields = ("id", "name")
    write_scope = "monitoring:write"

    def perform_destroy(self, instance: Upstream) -> None:
        if instance.managed:
            raise Conflict("This upstream is set by the environment. Remove it there.")
        try:
            instance.delete()
        except ProtectedError as error:
            raise Conflict(
                "This upstream has alerts, silences or rules and cannot be deleted. Disable it instead."
            ) from error

    @extend_schema(request=None, responses=ConnectionTestSerializer)
    @action(detail=True, methods=["post"])
    def test(self, request: Request, pk: str | None = None) -> Response:
        """Test the connection to an upstream. `sentence` says whether it works, or what is wrong."""
        result = connection_test.run(self.get_object(), actor=None)
        return Response(ConnectionTestSerializer(result).data)


ROUTES = [("upstreams", UpstreamViewSet, "upstream")]
