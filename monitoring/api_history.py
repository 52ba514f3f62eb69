"""How a service or a check has been over a window, as the API tells it."""

from datetime import datetime
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from monitoring.checks import history
from monitoring.checks.history import History
from monitoring.models import Check, CheckHour, Status

WINDOW = OpenApiParameter("window", str, description="24h, 7d, 30d, 12w; default 30d.")


class SpanSerializer(serializers.Serializer[Any]):
    status = serializers.ChoiceField(choices=Status.choices)
    start = serializers.DateTimeField()
    end = serializers.DateTimeField()


class UptimeSerializer(serializers.Serializer[Any]):
    """`ratio` is of the time that was watched; null when none was."""

    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    ratio = serializers.FloatField(allow_null=True)
    incidents = serializers.IntegerField()
    seconds = serializers.DictField(child=serializers.FloatField())
    spans = SpanSerializer(many=True)


class CheckHourSerializer(serializers.ModelSerializer[CheckHour]):
    latency_mean = serializers.FloatField(help_text="Seconds.")

    class Meta:
        model = CheckHour
        fields = ("hour", "runs", "failures", "latency_mean", "latency_max")


class CheckHistorySerializer(UptimeSerializer):
    """Uptime of a check, and its answers hour by hour; an hour nobody asked in is left out."""

    hours = CheckHourSerializer(many=True)


def window(request: Request) -> tuple[datetime, datetime]:
    """Return the window that is asked for, up to now. Raises ValidationError."""
    try:
        length = history.window_of(request.query_params.get("window", "30d"))
    except ValueError as error:
        raise ValidationError({"window": [str(error)]}) from error
    now = timezone.now()
    return now - length, now


def service_history(service_id: int, start: datetime, end: datetime) -> Any:
    return UptimeSerializer(_facts(history.of_service(service_id, start=start, end=end))).data


def check_history(check: Check, start: datetime, end: datetime) -> Any:
    facts = _facts(history.of_check(check, start=start, end=end))
    return CheckHistorySerializer({**facts, "hours": history.hours_of(check, start=start)}).data


def _facts(found: History) -> dict[str, Any]:
    return {
        "start": found.start,
        "end": found.end,
        "ratio": found.uptime.ratio,
        "incidents": found.uptime.incidents,
        "seconds": found.uptime.seconds,
        "spans": found.spans,
    }
