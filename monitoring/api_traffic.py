"""`analytics/routes/` and `analytics/consumers/`: traffic by route and by consumer."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from monitoring.traffic.report import BY_CONSUMER, DEFAULT_WINDOW, WINDOWS, report
from monitoring.traffic.rows import ORDERS, RouteRow
from portal.core.models import Upstream


class TrafficQuerySerializer(serializers.Serializer[Any]):
    window = serializers.ChoiceField(
        choices=list(WINDOWS), default=DEFAULT_WINDOW, help_text="Length of the period, up to now."
    )
    service = serializers.CharField(
        max_length=200,
        default="",
        allow_blank=True,
        help_text="Slug of the service, or its name in the metrics.",
    )
    order = serializers.ChoiceField(
        choices=ORDERS, default="requests", help_text="Column to sort by, in descending order."
    )
    upstream = serializers.SlugRelatedField(
        slug_field="name",
        queryset=Upstream.objects.filter(kind=Upstream.Kind.PROMETHEUS),
        default=None,
        allow_null=True,
        help_text="Name of the Prometheus to query. Default: the first enabled one.",
    )


class RouteRowSerializer(serializers.Serializer[Any]):
    """Figures for the window. Latencies are null if there is no histogram."""

    service = serializers.CharField(help_text="Name of the service in the metrics.")
    service_slug = serializers.CharField(
        help_text="Slug of the matching service of the catalogue; empty if there is none."
    )
    route = serializers.CharField()
    method = serializers.CharField(help_text="HTTP method.")
    requests = serializers.FloatField(help_text="Number of requests in the window.")
    errors = serializers.FloatField(  # type: ignore[assignment]
        help_text="Number of failed requests in the window."
    )
    error_ratio = serializers.FloatField(help_text="Errors divided by requests, 0 to 1.")
    change = serializers.FloatField(
        allow_null=True,
        help_text="Relative change of requests from the previous window; 0.5 is an increase by half.",
    )
    p50 = serializers.FloatField(allow_null=True, help_text="Median latency in seconds.")
    p95 = serializers.FloatField(allow_null=True, help_text="95th percentile in seconds.")
    p99 = serializers.FloatField(allow_null=True, help_text="99th percentile in seconds.")


class TrafficSerializer(serializers.Serializer[Any]):
    """A traffic report. If the query fails, the status is still 200 and `error` says why."""

    window = serializers.CharField()
    requests = serializers.FloatField(help_text="Total number of requests in the window.")
    error_ratio = serializers.FloatField(help_text="Errors divided by requests, 0 to 1.")
    sources = serializers.ListField(
        child=serializers.CharField(), help_text="Names of the metrics the figures come from."
    )
    error = serializers.CharField(help_text="Why the query failed; empty if it succeeded.")
    note = serializers.CharField(
        help_text="Why there is no data if no metrics were found; may be empty."
    )
    rows = RouteRowSerializer(many=True)


class ConsumerRowSerializer(RouteRowSerializer):
    consumer = serializers.CharField(source="route", help_text="Name of the consumer.")
    share = serializers.SerializerMethodField(
        help_text="Share of the total number of requests, 0 to 1."
    )
    route = None  # type: ignore[assignment]
    method = None  # type: ignore[assignment]

    def get_share(self, row: RouteRow) -> float:
        total = self.context["total"]
        return row.requests / total if total else 0.0


class ConsumersSerializer(TrafficSerializer):
    rows = ConsumerRowSerializer(many=True)


class TrafficView(APIView):
    """Get traffic by route. Returns requests, errors and latencies from Prometheus."""

    read_scope = "read"
    read_permission = "monitoring.view_panel"

    @extend_schema(parameters=[TrafficQuerySerializer], responses=TrafficSerializer)
    def get(self, request: Request) -> Response:
        asked = TrafficQuerySerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        return Response(TrafficSerializer(report(**asked.validated_data, curves=False)).data)


class ConsumersView(APIView):
    """Get traffic by consumer. Returns requests, errors and latencies of the clients named in metrics."""

    read_scope = "read"
    read_permission = "monitoring.view_panel"

    @extend_schema(parameters=[TrafficQuerySerializer], responses=ConsumersSerializer)
    def get(self, request: Request) -> Response:
        asked = TrafficQuerySerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        found = report(**asked.validated_data, curves=False, by=BY_CONSUMER)
        context = {"total": found.requests}
        return Response(ConsumersSerializer(found, context=context).data)
