"""`panels/`, `panels/{id}/data/` and `metrics/query_range/`: charts as JSON."""

import math
from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from audit.viewsets import PortalModelViewSet
from monitoring.charts import ChartError
from monitoring.episodes import SHADES
from monitoring.models import Panel, Unit
from monitoring.panels import PanelData, check_promql, panel_data
from portal.core.api_help import described
from portal.core.models import Freshness, Upstream, UpstreamKind
from portal.core.validators import validate_matchers

DEFAULT_RANGE_SECONDS = 3600
PROMQL_LIMIT = 4000
MARKS = ("warning_above", "critical_above")


def _prometheus_field(**options: Any) -> Any:
    servers = Upstream.objects.filter(kind=UpstreamKind.PROMETHEUS)
    return serializers.SlugRelatedField(slug_field="name", queryset=servers, **options)


class PanelSerializer(serializers.ModelSerializer[Panel]):
    upstream = _prometheus_field(
        required=False, allow_null=True,
        help_text="Name of the Prometheus to query. Default: the first enabled one.",
    )  # fmt: skip
    alert_matchers = serializers.ListField(
        child=serializers.CharField(max_length=500),
        required=False,
        max_length=20,
        validators=[validate_matchers],
        help_text='Alerts that match all of these are marked on the chart, for example `job="api"`.',
    )

    class Meta:
        model = Panel
        fields = (
            "id", "slug", "title", "description", "upstream", "promql", "legend", "unit", "warning_above",
            "critical_above", "alert_matchers", "position", "on_dashboard",
        )  # fmt: skip
        extra_kwargs = described(
            promql="PromQL expression; may contain `$__rate_interval`, as in Grafana.",
            legend="Template of the series names, for example `{{instance}}`. Default: all labels.",
            warning_above="Warning threshold, in the unit of the values.",
            critical_above="Critical threshold, in the unit of the values.",
            position="Charts are shown in ascending order of position.",
            on_dashboard="Show the chart on the dashboard.",
        )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        stored = {name: getattr(self.instance, name, None) for name in MARKS}
        try:
            Panel(**{name: attrs.get(name, value) for name, value in stored.items()}).clean()
        except DjangoValidationError as error:
            raise ValidationError(error.message_dict) from error
        if "promql" in attrs:
            server = attrs.get("upstream", self.instance.upstream if self.instance else None)
            if objection := check_promql(attrs["promql"], server):
                raise ValidationError({"promql": [objection]})
        return attrs


class SeriesSerializer(serializers.Serializer[Any]):
    label = serializers.CharField(help_text="Name of the series, from the legend template.")  # type: ignore[assignment]
    labels = serializers.DictField(child=serializers.CharField())


class EpisodeSerializer(serializers.Serializer[Any]):
    """An alert episode to mark on the chart."""

    id = serializers.IntegerField()
    alertname = serializers.CharField()
    severity = serializers.CharField()
    level = serializers.ChoiceField(choices=SHADES)
    state = serializers.CharField()
    start = serializers.FloatField(help_text="Unix time.")
    end = serializers.FloatField(
        allow_null=True, help_text="Unix time; null while the alert is open."
    )
    url = serializers.CharField(help_text="URL of the alert in the admin.")


class MarkSerializer(serializers.Serializer[Any]):
    """A deploy to mark on the chart."""

    id = serializers.IntegerField()
    service = serializers.CharField()
    version = serializers.CharField()
    environment = serializers.CharField()
    at = serializers.FloatField(help_text="Unix time.")
    url = serializers.CharField(help_text="URL of the deploy in the admin.")


class ThresholdsSerializer(serializers.Serializer[Any]):
    warning = serializers.FloatField(allow_null=True)
    critical = serializers.FloatField(allow_null=True)


class PanelDataSerializer(serializers.Serializer[Any]):
    """The data of a chart. If the query fails, the status is still 200 and `error` says why."""

    start = serializers.IntegerField(help_text="Unix time.")
    end = serializers.IntegerField(help_text="Unix time.")
    step = serializers.IntegerField(help_text="Resolution in seconds.")
    unit = serializers.ChoiceField(choices=Unit.choices)
    data = serializers.ListField(  # type: ignore[assignment]
        child=serializers.ListField(child=serializers.FloatField(allow_null=True)),
        help_text="Columns: Unix times, then the values of each series; null is a gap.",
    )
    series = SeriesSerializer(many=True)
    episodes = EpisodeSerializer(many=True)
    deploys = MarkSerializer(many=True)
    thresholds = ThresholdsSerializer()
    note = serializers.CharField(
        help_text="Remark, for example that series were omitted; may be empty."
    )
    error = serializers.CharField(help_text="Why there is no data; empty if the query succeeded.")
    upstream = serializers.CharField(help_text="Name of the Prometheus that was queried.")
    freshness = serializers.ChoiceField(choices=Freshness.choices)
    grafana_url = serializers.CharField(
        help_text="URL of the same chart in Grafana; empty unless GRAFANA_URL is set."
    )


RANGE_PARAMETERS = [
    OpenApiParameter(
        "start",
        str,
        description="Start of the range, as Unix or RFC 3339 time. Default: one hour before `end`.",
    ),
    OpenApiParameter(
        "end", str, description="End of the range, as Unix or RFC 3339 time. Default: now."
    ),
    OpenApiParameter(
        "step", int, description="Resolution in seconds. Default: about 400 points for the range."
    ),
]


def _moment(request: Request, name: str, default: float) -> float:
    written = request.query_params.get(name, "").strip()
    if not written:
        return default
    try:
        value = float(written)
    except ValueError:
        value = math.nan
    try:
        parsed = None if math.isfinite(value) else parse_datetime(written)
    except ValueError:
        parsed = None
    if parsed is not None and parsed.tzinfo is not None:
        value = parsed.timestamp()
    if not math.isfinite(value):
        raise ValidationError(
            {name: ["Write a Unix time or an RFC 3339 time such as 2026-01-31T12:00:00Z."]}
        )
    return value


def _drawn(request: Request, panel: Panel) -> Response:
    """Answer the chart of `panel` for the range the request asks for."""
    now = timezone.now()
    end = _moment(request, "end", now.timestamp())
    start = _moment(request, "start", end - DEFAULT_RANGE_SECONDS)
    step = request.query_params.get("step", "")
    if step and not (step.isascii() and step.isdigit() and len(step) < 9):
        raise ValidationError({"step": ["Write a whole number of seconds."]})
    try:
        data: PanelData = panel_data(
            panel, start=start, end=end, step=int(step) if step else None, at=now
        )
    except ChartError as error:
        raise ValidationError({"start": [str(error)]}) from error
    return Response(data.as_json())


@extend_schema_view(list=extend_schema(filters=True))
class PanelViewSet(PortalModelViewSet):
    """Charts of PromQL expressions."""

    queryset = Panel.objects.select_related("upstream").order_by("id")
    serializer_class = PanelSerializer
    filterset_fields = ("on_dashboard", "slug")
    ordering = ("id",)
    ordering_fields = ("id", "slug")
    write_scope = "monitoring:write"

    @extend_schema(parameters=RANGE_PARAMETERS, responses=PanelDataSerializer)
    @action(detail=True, methods=["get"])
    def data(self, request: Request, pk: str | None = None) -> Response:
        """Get the data of a chart. Returns its series, thresholds, alert episodes and deploys in the range."""
        return _drawn(request, self.get_object())


class QuerySerializer(serializers.Serializer[Any]):
    query = serializers.CharField(max_length=PROMQL_LIMIT, help_text="PromQL expression.")
    upstream = _prometheus_field(
        required=False, allow_null=True,
        help_text="Name of the Prometheus to query. Default: the first enabled one.",
    )  # fmt: skip
    legend = serializers.CharField(
        max_length=200, required=False, allow_blank=True, default="",
        help_text="Template of the series names, for example `{{instance}}`. Default: all labels.",
    )  # fmt: skip
    unit = serializers.ChoiceField(
        choices=Unit.choices, required=False, default=Unit.NUMBER, help_text="Unit of the values."
    )


class QueryRangeView(APIView):
    """Run a PromQL range query. Returns the result as chart data."""

    read_scope = "read"
    person_reads = "monitoring.view_panel"

    @extend_schema(parameters=[QuerySerializer, *RANGE_PARAMETERS], responses=PanelDataSerializer)
    def get(self, request: Request) -> Response:
        asked = QuerySerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        wanted = asked.validated_data
        panel = Panel(
            promql=wanted["query"],
            upstream=wanted.get("upstream"),
            legend=wanted["legend"],
            unit=wanted["unit"],
        )
        return _drawn(request, panel)


ROUTES = [("panels", PanelViewSet, "panel")]
