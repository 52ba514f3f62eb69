"""`upstreams/`, `services/` and their verbs."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
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

from audit.viewsets import CSV_CHUNK, PortalModelViewSet
from monitoring import connection_test
from monitoring.api_history import WINDOW, UptimeSerializer, service_history, window
from monitoring.errors.serializers import ServiceErrorsSerializer
from monitoring.errors.summary import ServiceErrors, errors_of
from monitoring.grafana import service_url
from monitoring.models import ServiceStatus, Status
from portal.core.models import Freshness, Service, Upstream, UpstreamKind
from portal.core.problems import Conflict
from portal.core.validators import validate_matchers, validate_options, validate_server_urls


class CredentialsSerializer(serializers.Serializer[Any]):
    username = serializers.CharField(required=False, allow_blank=True, max_length=200)
    password = serializers.CharField(required=False, allow_blank=True, max_length=500)
    token = serializers.CharField(required=False, allow_blank=True, max_length=4000)


class UpstreamSerializer(serializers.ModelSerializer[Upstream]):
    freshness = serializers.SerializerMethodField()
    kind = serializers.ChoiceField(choices=UpstreamKind.servers())
    url = serializers.CharField(max_length=1000, validators=[validate_server_urls])
    options = serializers.JSONField(required=False, validators=[validate_options])
    credentials = CredentialsSerializer(required=False, write_only=True)
    has_credentials = serializers.SerializerMethodField()

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

    @extend_schema_field(serializers.ChoiceField(choices=Freshness.choices))
    def get_freshness(self, upstream: Upstream) -> str:
        return str(upstream.freshness(at=timezone.now()))

    def get_has_credentials(self, upstream: Upstream) -> bool:
        return bool(upstream.credentials)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if self.instance and self.instance.managed and {"url", "kind", "name"} & attrs.keys():
            raise ValidationError(
                {"url": ["This upstream is set by the environment; change it there."]}
            )
        if self.instance and attrs.get("kind", self.instance.kind) != self.instance.kind:
            raise ValidationError({"kind": ["The kind cannot change; add another upstream."]})
        if self._moves_credentials(attrs):
            sentence = "The address changes to another server. Send the credentials again, or {} to forget them."
            raise ValidationError({"credentials": [sentence]})
        return attrs

    def _moves_credentials(self, attrs: dict[str, Any]) -> bool:
        """True when stored credentials would be sent to a server they were not entered for."""
        row = self.instance
        if row is None or not row.credentials or "credentials" in attrs or "url" not in attrs:
            return False
        return server_names(attrs["url"]) != server_names(row.url)


def server_names(url: str) -> set[str]:
    """Return host and port of each member of a comma-separated URL."""
    return {member.strip().split("/", 3)[2].lower() for member in url.split(",") if "//" in member}


class ConnectionTestSerializer(serializers.Serializer[Any]):
    ok = serializers.BooleanField()
    sentence = serializers.CharField()
    warnings = serializers.ListField(
        child=serializers.CharField(),
        help_text="What to mend on a server that answers all the same.",
    )


class UpstreamFilter(filters.FilterSet):
    class Meta:
        model = Upstream
        fields = ("kind", "enabled", "managed", "name")


@extend_schema_view(list=extend_schema(filters=True))
class UpstreamViewSet(PortalModelViewSet):
    """The servers that are polled, with the freshness of their data."""

    queryset = Upstream.objects.servers().order_by("id")
    serializer_class = UpstreamSerializer
    filterset_class = UpstreamFilter
    ordering = ("id",)
    ordering_fields = ("id", "name")
    write_scope = "monitoring:write"

    def perform_destroy(self, instance: Upstream) -> None:
        if instance.managed:
            raise Conflict("This upstream is set by the environment; take it out there.")
        try:
            instance.delete()
        except ProtectedError as error:
            raise Conflict(
                "It has alerts or silences in the history, or rules. Disable it instead."
            ) from error

    @extend_schema(request=None, responses=ConnectionTestSerializer)
    @action(detail=True, methods=["post"])
    def test(self, request: Request, pk: str | None = None) -> Response:
        """Ask the server now and say in one sentence whether it works, or what is wrong."""
        result = connection_test.run(self.get_object(), actor=None)
        return Response(ConnectionTestSerializer(result).data)


def _part(what: str) -> serializers.ChoiceField:
    """Return the field of one part of a status; nothing feeds it when it is empty."""
    said = f"{what[0].upper()}{what[1:]}; empty when nothing does."
    return serializers.ChoiceField(
        choices=Status.choices, allow_blank=True, read_only=True, help_text=said
    )


class ServiceStatusSerializer(serializers.ModelSerializer[ServiceStatus]):
    upstream = serializers.SlugRelatedField(  # type: ignore[var-annotated]
        slug_field="name", read_only=True, allow_null=True
    )
    status = serializers.SerializerMethodField()
    reason = serializers.SerializerMethodField()
    targets_status = _part("what Prometheus says of its targets")
    checks_status = _part("what its checks say")

    class Meta:
        model = ServiceStatus
        fields = (
            "status", "reason", "since", "targets_status", "targets_up", "targets_down", "checks_status", "upstream"
        )  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(serializers.ChoiceField(choices=Status.choices))
    def get_status(self, row: ServiceStatus) -> str:
        return row.shown(at=timezone.now())[0]

    def get_reason(self, row: ServiceStatus) -> str:
        return row.shown(at=timezone.now())[1]


class ServiceListSerializer(serializers.ListSerializer[Any]):
    """Looks up once for all services of a page what each would ask for."""

    def to_representation(self, data: Any) -> Any:
        rows = list(data)
        child: Any = self.child
        child.errors_of = errors_of([row.pk for row in rows], at=timezone.now())
        return super().to_representation(rows)


class ServiceSerializer(serializers.ModelSerializer[Service]):
    status = ServiceStatusSerializer(read_only=True, allow_null=True)
    matchers = serializers.ListField(
        child=serializers.CharField(max_length=500),
        required=False,
        max_length=20,
        validators=[validate_matchers],
    )
    labels = serializers.DictField(
        child=serializers.CharField(max_length=1000, allow_blank=True), required=False
    )
    errors = serializers.SerializerMethodField()  # type: ignore[assignment]
    grafana_url = serializers.SerializerMethodField()
    errors_of: Mapping[int, ServiceErrors] = {}

    class Meta:
        model = Service
        list_serializer_class = ServiceListSerializer
        fields = (
            "id", "slug", "name", "team", "tier", "description", "runbook_url", "repository_url", "labels",
            "matchers", "discovered", "created_at", "status", "errors", "grafana_url",
        )  # fmt: skip
        read_only_fields = ("discovered", "created_at")
        extra_kwargs = {"tier": {"min_value": 1, "max_value": 5}}

    @extend_schema_field(ServiceErrorsSerializer)
    def get_errors(self, service: Service) -> Any:
        found = self.errors_of or errors_of([service.pk], at=timezone.now())
        return ServiceErrorsSerializer(found[service.pk]).data

    def get_grafana_url(self, service: Service) -> str:
        return service_url(service.slug)


class ServiceFilter(filters.FilterSet):
    status = filters.ChoiceFilter(choices=Status.choices, field_name="status__status")

    class Meta:
        model = Service
        fields = ("team", "tier", "slug", "discovered")


@extend_schema_view(list=extend_schema(filters=True))
class ServiceViewSet(PortalModelViewSet):
    """The service catalogue with the current status of each service."""

    queryset = Service.objects.select_related("status__upstream").order_by("id")
    serializer_class = ServiceSerializer
    filterset_class = ServiceFilter
    lookup_field = "slug"
    ordering = ("id",)
    ordering_fields = ("id", "slug")
    write_scope = "monitoring:write"

    def _rows(self, queryset: Any, fields: Sequence[str]) -> Iterator[Sequence[Any]]:
        """Yield the rows of a CSV; what each service asks for is looked up per chunk."""
        rows = queryset.iterator(chunk_size=CSV_CHUNK)
        while chunk := list(islice(rows, CSV_CHUNK)):
            for data in self.get_serializer(chunk, many=True).data:
                yield [data[field] for field in fields]

    @extend_schema(parameters=[WINDOW], responses=UptimeSerializer)
    @action(detail=True, methods=["get"])
    def uptime(self, request: Request, slug: str | None = None) -> Response:
        """How much of the watched time the service answered, and when it did not."""
        return Response(service_history(self.get_object().pk, *window(request)))


ROUTES = [("upstreams", UpstreamViewSet, "upstream"), ("services", ServiceViewSet, "service")]
