"""The serializers of the history of a service or a check."""

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
from portal.core.api_help import described

WINDOW = OpenApiParameter(
    "window",
    str,
    description="Length of the period, up to now: `24h`, `7d`, `12w` and so on, at most 400 days. Default: `30d`.",
)


class SpanSerializer(serializers.Serializer[Any]):
    """A period with the same status."""

    status = serializers.ChoiceField(choices=Status.choices)
    start = serializers.DateTimeField()
    end = serializers.DateTimeField()


class UptimeSerializer(serializers.Serializer[Any]):
    """Uptime over a window."""

    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    ratio = serializers.FloatField(
        allow_null=True,
        help_text="Share of the monitored time spent up or degraded, 0 to 1; null if there is no data.",
    )
    incidents = serializers.IntegerField(help_text="Number of periods with status down.")
    seconds = serializers.DictField(
        child=serializers.FloatField(), help_text="Seconds spent in each status."
    )
    spans = SpanSerializer(many=True, help_text="Periods with the same status, oldest first.")


class CheckHourSerializer(serializers.ModelSerializer[CheckHour]):
    """The results of a check in one hour."""

    latency_mean = serializers.FloatField(help_text="Mean latency in seconds.")

    class Meta:
        model = CheckHour
        fields = ("hour", "runs", "failures", "latency_mean", "latency_max")
        extra_kwargs = described(
            hour="Start of the hour.",
            runs="Number of runs.",
            failures="Number of failed runs.",
            latency_max="Maximum latency in seconds.",
        )


class CheckHistorySerializer(UptimeSerializer):
    """Uptime of a check, and its results per hour."""

    hours = CheckHourSerializer(many=True, help_text="Hours without a run are omitted.")


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
