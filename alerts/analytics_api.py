"""`alerts/analytics/`: figures about alerts by rule, service, team or severity."""

from dataclasses import fields
from typing import Any

from django.http.response import HttpResponseBase
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from alerts.analytics import (
    DEFAULT_GROUP,
    DEFAULT_WINDOW,
    GROUPS,
    MOST_GROUPS,
    WINDOWS,
    Group,
    report,
)
from audit import services as audit
from audit.services import Target
from audit.viewsets import CSV_PARAMETER
from portal.core import csv
from portal.core.filtering import refuse_unknown_format
from portal.core.models import Service

COLUMNS = [field.name for field in fields(Group)]
UNBOUNDED = 1_000_000


class AnalyticsQuerySerializer(serializers.Serializer[Any]):
    group_by = serializers.ChoiceField(
        choices=list(GROUPS), default=DEFAULT_GROUP, help_text="What to group the episodes by."
    )
    window = serializers.ChoiceField(
        choices=list(WINDOWS), default=DEFAULT_WINDOW, help_text="Length of the period, up to now."
    )
    service = serializers.SlugRelatedField(
        slug_field="slug", queryset=Service.objects.all(), default=None, allow_null=True,
        help_text="Only alerts of the service with this slug.",
    )  # fmt: skip


class AlertGroupSerializer(serializers.Serializer[Any]):
    """Figures about the episodes of a group that started within the window."""

    name = serializers.CharField(
        help_text="Name of the group; empty for alerts without a service or team."
    )
    episodes = serializers.IntegerField(help_text="Number of episodes.")
    open = serializers.IntegerField(help_text="Episodes that are not resolved.")
    never_acknowledged = serializers.IntegerField(
        help_text="Episodes that ended without being acknowledged."
    )
    flapping = serializers.IntegerField(
        help_text="Episodes that started within an hour of the end of the previous episode of the same alert."
    )
    without_runbook = serializers.IntegerField(help_text="Episodes without a runbook URL.")
    without_owner = serializers.IntegerField(
        help_text="Episodes without a team, neither by label nor by service."
    )
    mtta_seconds = serializers.FloatField(
        allow_null=True, help_text="Mean time to acknowledge, in seconds; null if there is no data."
    )
    mttr_seconds = serializers.FloatField(
        allow_null=True, help_text="Mean time to resolve, in seconds; null if there is no data."
    )
    last_at = serializers.DateTimeField(
        allow_null=True, help_text="Start of the most recent episode."
    )


class AlertAnalyticsSerializer(serializers.Serializer[Any]):
    window = serializers.CharField()
    group_by = serializers.CharField()
    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    total = AlertGroupSerializer()
    groups = AlertGroupSerializer(
        many=True, help_text="Ordered by number of episodes, largest first."
    )
    left_out = serializers.IntegerField(
        help_text=f"Number of groups omitted; at most {MOST_GROUPS} are returned."
    )


class AlertAnalyticsView(APIView):
    """Get alert analytics. MTTA, MTTR, flapping, and alerts never acknowledged or without a runbook or owner."""

    read_scope = "read"
    person_reads = "alerts.view_alert"

    @extend_schema(
        parameters=[AnalyticsQuerySerializer, CSV_PARAMETER], responses=AlertAnalyticsSerializer
    )
    def get(self, request: Request) -> HttpResponseBase:
        refuse_unknown_format(request)
        asked = AnalyticsQuerySerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        facts: dict[str, Any] = {**asked.validated_data}
        slug = audit.service_of(facts.pop("service"))
        if request.query_params.get("format") == "csv":
            return _csv(facts, slug)
        found = report(at=timezone.now(), service=slug, **facts)
        return Response(AlertAnalyticsSerializer(found).data)


def _csv(facts: dict[str, Any], slug: str) -> HttpResponseBase:
    """Send every group as a row, and leave an entry in the trail."""
    data = {"filters": {**facts, "service": slug}, "format": "csv", **audit.service_data(slug)}
    audit.record("data.exported", target=Target("api.alert-analytics"), data=data)
    found = report(at=timezone.now(), service=slug, most=UNBOUNDED, **facts)
    rows = ([getattr(group, name) for name in COLUMNS] for group in found.groups)
    return csv.response("alert-analytics", COLUMNS, rows)
