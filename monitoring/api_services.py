"""`services/`: the catalogue with the status and the errors of each service."""

from collections.abc import Mapping
from typing import Any

import django_filters as filters
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field, extend_schema_view
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from audit.viewsets import PortalModelViewSet
from monitoring.api_history import WINDOW, UptimeSerializer, service_history, window
from monitoring.errors.serializers import ServiceErrorsSerializer
from monitoring.errors.summary import ServiceErrors, errors_of
from monitoring.grafana import service_url
from monitoring.models import ServiceStatus, Status
from portal.core.api_help import described
from portal.core.models import Service
from portal.core.validators import validate_log_fields, validate_matchers


def _part(what: str) -> serializers.ChoiceField:
    """Return the field of one part of a status, which is empty without a source."""
    said = f"Status according to {what}; empty if there are none."
    return serializers.ChoiceField(
        choices=Status.choices, allow_blank=True, read_only=True, help_text=said
    )


class ServiceStatusSerializer(serializers.ModelSerializer[ServiceStatus]):
    """The current status of a service: the worst known status of its targets and checks."""

    upstream = serializers.SlugRelatedField(  # type: ignore[var-annotated]
        slug_field="name", read_only=True, allow_null=True,
        help_text="Name of the Prometheus that scrapes the service.",
    )  # fmt: skip
    status = serializers.SerializerMethodField()
    reason = serializers.SerializerMethodField(help_text="Explanation of `status`.")
    targets_status = _part("the scrape targets in Prometheus")
    checks_status = _part("the checks of the service")

    class Meta:
        model = ServiceStatus
        fields = (
            "status", "reason", "since", "targets_status", "targets_up", "targets_down", "checks_status", "upstream"
        )  # fmt: skip
        read_only_fields = fields
        extra_kwargs = described(
            since="When the status last changed.",
            targets_up="Number of scrape targets that are up.",
            targets_down="Number of scrape targets that are down.",
        )

    @extend_schema_field(serializers.ChoiceField(choices=Status.choices))
    def get_status(self, row: ServiceStatus) -> str:
        return row.shown(at=timezone.now())[0]

    def get_reason(self, row: ServiceStatus) -> str:
        return row.shown(at=timezone.now())[1]


class ServiceListSerializer(serializers.ListSerializer[Any]):
    """Loads the error counts of all services of a page at once."""

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
        help_text='Alerts that match all of these belong to the service, for example `job="api"`.',
    )
    log_fields = serializers.ListField(
        child=serializers.CharField(max_length=500),
        required=False,
        validators=[validate_log_fields],
        help_text="Log lines that belong to the service, as `field=value`. Default: lines with its slug as service.",
    )
    labels = serializers.DictField(
        child=serializers.CharField(max_length=1000, allow_blank=True), required=False,
        help_text="Free-form labels.",
    )  # fmt: skip
    errors = serializers.SerializerMethodField()  # type: ignore[assignment]
    grafana_url = serializers.SerializerMethodField(
        help_text="URL of the service's dashboard in Grafana; empty if none is configured."
    )
    errors_of: Mapping[int, ServiceErrors] = {}

    class Meta:
        model = Service
        list_serializer_class = ServiceListSerializer
        fields = (
            "id", "slug", "name", "team", "tier", "description", "runbook_url", "repository_url", "labels",
            "matchers", "log_fields", "discovered", "created_at", "status", "errors", "grafana_url",
        )  # fmt: skip
        read_only_fields = ("discovered", "created_at")
        extra_kwargs: dict[str, dict[str, Any]] = {
            **described(
                slug="Unique name, used in URLs.",
                team="Team that owns the service.",
                discovered="True if the service was discovered from a Prometheus scrape job.",
            ),
            "tier": {"min_value": 1, "max_value": 5},
        }

    @extend_schema_field(ServiceErrorsSerializer)
    def get_errors(self, service: Service) -> Any:
        found = self.errors_of or errors_of([service.pk], at=timezone.now())
        return ServiceErrorsSerializer(found[service.pk]).data

    def get_grafana_url(self, service: Service) -> str:
        return service_url(service.slug)


class ServiceFilter(filters.FilterSet):
    status = filters.ChoiceFilter(
        choices=Status.choices, field_name="status__status", help_text="Current status."
    )

    class Meta:
        model = Service
        fields = ("team", "tier", "slug", "discovered")


@extend_schema_view(list=extend_schema(filters=True))
class ServiceViewSet(PortalModelViewSet):
    """The service catalogue, with the current status and errors of each service."""

    queryset = Service.objects.select_related("status__upstream").order_by("id")
    serializer_class = ServiceSerializer
    filterset_class = ServiceFilter
    lookup_field = "slug"
    ordering = ("id",)
    ordering_fields = ("id", "slug")
    write_scope = "monitoring:write"

    @extend_schema(parameters=[WINDOW], responses=UptimeSerializer)
    @action(detail=True, methods=["get"])
    def uptime(self, request: Request, slug: str | None = None) -> Response:
        """Get the uptime of a service. Returns the uptime ratio, incidents and periods by status."""
        return Response(service_history(self.get_object().pk, *window(request)))


ROUTES = [("services", ServiceViewSet, "service")]
