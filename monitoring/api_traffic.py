"""`analytics/routes/` and `analytics/consumers/`: traffic by route, and by who asks."""

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
    window = serializers.ChoiceField(choices=list(WINDOWS), default=DEFAULT_WINDOW)
    service = serializers.CharField(max_length=200, default="", allow_blank=True)
    order = serializers.ChoiceField(choices=ORDERS, default="requests")
    upstream = serializers.SlugRelatedField(
        slug_field="name",
        queryset=Upstream.objects.filter(kind=Upstream.Kind.PROMETHEUS),
        default=None,
        allow_null=True,
    )


class RouteRowSerializer(serializers.Serializer[Any]):
    """Counts of the window; latencies in seconds, null where no histogram tells them."""

    service = serializers.CharField()
    service_slug = serializers.CharField(help_text="The matching service of the catalogue, if any.")
    route = serializers.CharField()
    method = serializers.CharField()
    requests = serializers.FloatField()
    errors = serializers.FloatField()  # type: ignore[assignment]
    error_ratio = serializers.FloatField()
    change = serializers.FloatField(allow_null=True, help_text="Compared with the previous window.")
    p50 = serializers.FloatField(allow_null=True)
    p95 = serializers.FloatField(allow_null=True)
    p99 = serializers.FloatField(allow_null=True)


class TrafficSerializer(serializers.Serializer[Any]):
    """`error` says why there are no routes; the status is 200 all the same."""

    window = serializers.CharField()
    requests = serializers.FloatField()
    error_ratio = serializers.FloatField()
    sources = serializers.ListField(child=serializers.CharField())
    error = serializers.CharField()
    note = serializers.CharField()
    rows = RouteRowSerializer(many=True)


class ConsumerRowSerializer(RouteRowSerializer):
    consumer = serializers.CharField(source="route")
    share = serializers.SerializerMethodField(help_text="Share of all requests in the response.")
    route = None  # type: ignore[assignment]
    method = None  # type: ignore[assignment]

    def get_share(self, row: RouteRow) -> float:
        total = self.context["total"]
        return row.requests / total if total else 0.0


class ConsumersSerializer(TrafficSerializer):
    rows = ConsumerRowSerializer(many=True)


class TrafficView(APIView):
    """Requests, errors and latencies of each route, as Prometheus knows them."""

    read_scope = "read"
    read_permission = "monitoring.view_panel"

    @extend_schema(parameters=[TrafficQuerySerializer], responses=TrafficSerializer)
    def get(self, request: Request) -> Response:
        asked = TrafficQuerySerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        return Response(TrafficSerializer(report(**asked.validated_data, curves=False)).data)


class ConsumersView(APIView):
    """Requests, errors and latencies of each consumer: the portal's own, and those metrics name."""

    read_scope = "read"
    read_permission = "monitoring.view_panel"

    @extend_schema(parameters=[TrafficQuerySerializer], responses=ConsumersSerializer)
    def get(self, request: Request) -> Response:
        asked = TrafficQuerySerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        found = report(**asked.validated_data, curves=False, by=BY_CONSUMER)
        context = {"total": found.requests}
        return Response(ConsumersSerializer(found, context=context).data)
