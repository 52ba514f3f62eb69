"""`GET /api/v1/dashboard/`: everything on the dashboard in one call."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from monitoring.errors.serializers import ErrorCountsSerializer
from monitoring.models import Status
from portal.dashboard import dashboard
from portal.sight import LABELS


class SourceSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    name = serializers.CharField()
    kind = serializers.CharField()
    state = serializers.ChoiceField(choices=list(LABELS.items()))
    sentence = serializers.CharField(help_text="What is wrong and what to do; empty if nothing is.")
    warning = serializers.CharField()
    attempted_at = serializers.DateTimeField(allow_null=True)
    succeeded_at = serializers.DateTimeField(allow_null=True)
    error_since = serializers.DateTimeField(allow_null=True)
    duration_seconds = serializers.FloatField(allow_null=True)
    clock_skew_seconds = serializers.FloatField(allow_null=True)


class SightSerializer(serializers.Serializer[Any]):
    """`blind` and `partial` mean that a count of zero is not good news."""

    state = serializers.ChoiceField(choices=("clear", "partial", "blind"))
    sentence = serializers.CharField()


class SeveritySerializer(serializers.Serializer[Any]):
    severity = serializers.CharField()
    firing = serializers.IntegerField()
    suppressed = serializers.IntegerField()
    unacknowledged = serializers.IntegerField()


class NewestSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    fingerprint = serializers.CharField()
    alertname = serializers.CharField()
    severity = serializers.CharField()
    summary = serializers.CharField()
    service = serializers.CharField(source="service.slug", allow_null=True, default=None)
    upstream = serializers.CharField(source="upstream.name")
    starts_at = serializers.DateTimeField()
    acknowledged_by = serializers.CharField()
    acknowledged_at = serializers.DateTimeField(allow_null=True)


class StatusCountSerializer(serializers.Serializer[Any]):
    status = serializers.ChoiceField(choices=Status.choices)
    count = serializers.IntegerField()


class TroubleSerializer(serializers.Serializer[Any]):
    service = serializers.CharField(source="service.slug")
    status = serializers.ChoiceField(choices=Status.choices)
    reason = serializers.CharField()
    since = serializers.DateTimeField()


class FrequentErrorSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    short_id = serializers.CharField()
    project = serializers.CharField()
    title = serializers.CharField()
    level = serializers.CharField()
    count = serializers.IntegerField()
    user_count = serializers.IntegerField()
    service = serializers.CharField(source="service.slug", allow_null=True, default=None)
    last_seen_at = serializers.DateTimeField()


class ErrorSummarySerializer(ErrorCountsSerializer):
    frequent = FrequentErrorSerializer(many=True)


class FlagCountSerializer(serializers.Serializer[Any]):
    open = serializers.IntegerField()
    high = serializers.IntegerField(help_text="Of them, those with a score of 70 or more.")
    worst = serializers.IntegerField(help_text="The highest score; 0 without any.")


class DashboardPanelSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    slug = serializers.CharField()
    title = serializers.CharField()
    unit = serializers.CharField()


class DashboardSerializer(serializers.Serializer[Any]):
    at = serializers.DateTimeField()
    upstreams = SourceSerializer(many=True)
    alerts_sight = SightSerializer()
    services_sight = SightSerializer()
    firing = serializers.IntegerField()
    suppressed = serializers.IntegerField()
    unacknowledged = serializers.IntegerField()
    active_silences = serializers.IntegerField()
    severities = SeveritySerializer(many=True)
    newest = NewestSerializer(many=True)
    statuses = StatusCountSerializer(many=True)
    troubled = TroubleSerializer(many=True)
    services_without_status = serializers.IntegerField()
    errors_sight = SightSerializer()
    errors = ErrorSummarySerializer()  # type: ignore[assignment]
    flags = FlagCountSerializer()
    panels = DashboardPanelSerializer(many=True)


class DashboardView(APIView):
    """Everything on the dashboard: freshness, alerts, services and which charts there are."""

    read_scope = "read"

    @extend_schema(responses=DashboardSerializer)
    def get(self, request: Request) -> Response:
        return Response(DashboardSerializer(dashboard()).data)
