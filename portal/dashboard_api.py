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
    """An upstream and the freshness of its data."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    kind = serializers.CharField()
    state = serializers.ChoiceField(choices=list(LABELS.items()))
    sentence = serializers.CharField(help_text="What is wrong and what to do; may be empty.")
    warning = serializers.CharField(
        help_text="Problem that does not make polls fail; may be empty."
    )
    attempted_at = serializers.DateTimeField(
        allow_null=True, help_text="When the last poll was made."
    )
    succeeded_at = serializers.DateTimeField(
        allow_null=True, help_text="When a poll last succeeded."
    )
    error_since = serializers.DateTimeField(
        allow_null=True, help_text="Since when polls have been failing."
    )
    duration_seconds = serializers.FloatField(
        allow_null=True, help_text="Duration of the last poll in seconds."
    )
    clock_skew_seconds = serializers.FloatField(
        allow_null=True, help_text="Clock of the server minus clock of the portal, in seconds."
    )


class SightSerializer(serializers.Serializer[Any]):
    """How complete the data is. Unless `state` is `clear`, a count of zero may only mean missing data."""

    state = serializers.ChoiceField(choices=("clear", "partial", "blind"))
    sentence = serializers.CharField(
        help_text="Which data is missing, and what to do; may be empty."
    )


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
    reason = serializers.CharField(help_text="Explanation of `status`.")
    since = serializers.DateTimeField(help_text="When the status last changed.")


class FrequentErrorSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    short_id = serializers.CharField()
    project = serializers.CharField()
    title = serializers.CharField()
    level = serializers.CharField()
    count = serializers.IntegerField(help_text="Total number of events.")
    user_count = serializers.IntegerField(help_text="Number of affected users.")
    service = serializers.CharField(source="service.slug", allow_null=True, default=None)
    last_seen_at = serializers.DateTimeField()


class ErrorSummarySerializer(ErrorCountsSerializer):
    frequent = FrequentErrorSerializer(
        many=True, help_text="Most frequent unresolved errors of the last 24 hours."
    )


class FlagCountSerializer(serializers.Serializer[Any]):
    open = serializers.IntegerField(help_text="Number of open flags.")
    high = serializers.IntegerField(help_text="Number of open flags with a score of 70 or more.")
    worst = serializers.IntegerField(
        help_text="Highest score of an open flag; 0 if there are none."
    )


class DashboardPanelSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    slug = serializers.CharField()
    title = serializers.CharField()
    unit = serializers.CharField()


class DashboardSerializer(serializers.Serializer[Any]):
    at = serializers.DateTimeField(help_text="Time of the response.")
    upstreams = SourceSerializer(many=True)
    alerts_sight = SightSerializer()
    services_sight = SightSerializer()
    firing = serializers.IntegerField(help_text="Number of firing alerts.")
    suppressed = serializers.IntegerField(help_text="Number of silenced or inhibited alerts.")
    unacknowledged = serializers.IntegerField(
        help_text="Number of firing alerts that nobody has acknowledged."
    )
    active_silences = serializers.IntegerField(help_text="Number of active silences.")
    severities = SeveritySerializer(many=True, help_text="Number of open alerts by severity.")
    newest = NewestSerializer(many=True, help_text="The newest firing alerts.")
    statuses = StatusCountSerializer(many=True, help_text="Number of services by status.")
    troubled = TroubleSerializer(many=True, help_text="Services that are not up.")
    services_without_status = serializers.IntegerField(
        help_text="Number of services that no target or check has reported on."
    )
    errors_sight = SightSerializer()
    errors = ErrorSummarySerializer()  # type: ignore[assignment]
    flags = FlagCountSerializer()
    panels = DashboardPanelSerializer(many=True, help_text="The charts on the dashboard.")


class DashboardView(APIView):
    """Get the dashboard. Returns the freshness of all data, and alerts, services, errors, flags and charts."""

    read_scope = "read"

    @extend_schema(responses=DashboardSerializer)
    def get(self, request: Request) -> Response:
        return Response(DashboardSerializer(dashboard()).data)
