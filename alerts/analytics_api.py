"""`alerts/analytics/`: how alerts behave, by rule, service, team or severity."""

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
    group_by = serializers.ChoiceField(choices=list(GROUPS), default=DEFAULT_GROUP)
    window = serializers.ChoiceField(choices=list(WINDOWS), default=DEFAULT_WINDOW)
    service = serializers.SlugRelatedField(
        slug_field="slug", queryset=Service.objects.all(), default=None, allow_null=True,
        help_text="Only alerts of this service.",
    )  # fmt: skip


class AlertGroupSerializer(serializers.Serializer[Any]):
    """Episodes that began within the window. Times are means in seconds, null without any."""

    name = serializers.CharField(help_text="Empty for alerts without a service or a team.")
    episodes = serializers.IntegerField()
    open = serializers.IntegerField()
    never_acknowledged = serializers.IntegerField(help_text="Ended without being acknowledged.")
    flapping = serializers.IntegerField(
        help_text="Started within an hour of the end of the same alert."
    )
    without_runbook = serializers.IntegerField()
    without_owner = serializers.IntegerField()
    mtta_seconds = serializers.FloatField(allow_null=True, help_text="Mean time to acknowledge.")
    mttr_seconds = serializers.FloatField(allow_null=True, help_text="Mean time to resolve.")
    last_at = serializers.DateTimeField(allow_null=True)


class AlertAnalyticsSerializer(serializers.Serializer[Any]):
    window = serializers.CharField()
    group_by = serializers.CharField()
    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    total = AlertGroupSerializer()
    groups = AlertGroupSerializer(many=True, help_text="The groups with the most episodes first.")
    left_out = serializers.IntegerField(
        help_text=f"Number of groups beyond the first {MOST_GROUPS}."
    )


class AlertAnalyticsView(APIView):
    """MTTA, MTTR, noise, flapping, and what nobody acknowledged, has no runbook or no owner."""

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
