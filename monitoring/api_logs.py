"""Log search over the API: what the server refuses is a problem in its own words."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from django.conf import settings
from django.http import StreamingHttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from monitoring.elasticsearch import QueryRefusedError
from monitoring.logs import export, search
from monitoring.logs.links import discover_url, flavour_of
from monitoring.logs.parameters import LogRequest, ParameterError, parse_parameters
from monitoring.logs.queries import LEVELS, LogQuery, stamp
from monitoring.logs.replies import Found, LogLine
from monitoring.logs.service_fields import with_service_fields
from portal.core.http import UpstreamError
from portal.core.links import trace_url
from portal.core.problems import UpstreamFailed


class LogLineSerializer(serializers.Serializer[Any]):
    id = serializers.CharField()
    index = serializers.CharField()
    at = serializers.DateTimeField()
    level = serializers.ChoiceField(choices=tuple(LEVELS), allow_blank=True)
    message = serializers.CharField()
    service = serializers.CharField()
    host = serializers.CharField()
    trace_id = serializers.CharField()
    trace_url = serializers.CharField(help_text="URL of the trace; empty without TRACES_URL.")
    fields = serializers.DictField(  # type: ignore[assignment]
        child=serializers.CharField(), help_text="All fields of the line, with dotted names."
    )


class LogBucketSerializer(serializers.Serializer[Any]):
    at = serializers.DateTimeField()
    lines = serializers.IntegerField()
    errors = serializers.IntegerField(
        help_text="The lines among them with level error or critical."
    )  # type: ignore[assignment]


class LogPageSerializer(serializers.Serializer[Any]):
    """`notes` say what is missing and why: a part of the truth is answered with 200 as well."""

    next = serializers.CharField(allow_null=True)
    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    total = serializers.IntegerField()
    total_is_exact = serializers.BooleanField(help_text="False if the number is a lower bound.")
    step_seconds = serializers.IntegerField()
    histogram = LogBucketSerializer(many=True)
    notes = serializers.ListField(child=serializers.CharField())
    kibana_url = serializers.CharField()
    results = LogLineSerializer(many=True)


def _parameter(name: str, said: str, kind: Any = OpenApiTypes.STR) -> OpenApiParameter:
    return OpenApiParameter(name, kind, description=said)


PARAMETERS = [
    _parameter("q", "Lucene query, for example `timeout AND NOT url.path:healthz`."),
    _parameter("service", "Slug of a service, whose own lines are found; otherwise the name of a service in the logs."),
    _parameter("host", "Name of the host."),
    _parameter("level", f"Several, separated by commas: {', '.join(LEVELS)}."),
    _parameter("since", "Unix or RFC 3339 time; default: an hour before `until`."),
    _parameter("until", "Unix or RFC 3339 time, not included; default: now."),
    _parameter("range", "`15m`, `1h`, `6h`, `24h` or `7d`, instead of `since`."),
    _parameter("around", "A time; finds the lines up to `minutes` before and after it."),
    _parameter("minutes", "1 to 1440; default 5.", OpenApiTypes.INT),
    _parameter("context", "Id of a line; returns it and surrounding lines of its service and host, oldest first."),
    _parameter("lines", "Number of surrounding lines on each side, 1 to 100; default 25.", OpenApiTypes.INT),
    _parameter("cursor", "Taken from `next`."),
    _parameter("page_size", "1 to 500; default 100.", OpenApiTypes.INT),
    OpenApiParameter("format", OpenApiTypes.STR, enum=["csv"],
                     description=f"`csv` streams the results as CSV, {export.MOST_LINES:,} lines at most."),
]  # fmt: skip


class LogSearchView(APIView):
    """Searches the logs in Elasticsearch or OpenSearch, newest first."""

    read_scope = "read"
    read_permission = "monitoring.view_panel"

    @extend_schema(parameters=PARAMETERS, responses=LogPageSerializer)
    def get(self, request: Request) -> Response | StreamingHttpResponse:
        try:
            wanted = with_service_fields(
                parse_parameters(request.query_params.dict(), at=timezone.now())
            )
            if request.query_params.get("format") == "csv":
                return export.download(wanted)
            document = _context(wanted) if wanted.context else _page(request, wanted)
        except ParameterError as error:
            raise ValidationError(error.errors) from error
        except QueryRefusedError as error:
            raise ValidationError({"q": [str(error)]}) from error
        except UpstreamError as error:
            raise UpstreamFailed(str(error), retry_at=error.retry_at) from error
        return Response(document)


def kibana_url(query: LogQuery) -> str:
    """Return the same search in Kibana or OpenSearch Dashboards; empty without KIBANA_URL."""
    upstream = search.default_elasticsearch()
    if upstream is None or not settings.KIBANA_URL:
        return ""
    seen = upstream.observed
    flavour = upstream.option("dashboards", "") or flavour_of(
        str(seen.get("distribution")), str(seen.get("version"))
    )
    view = upstream.option("data_view", "")
    return discover_url(settings.KIBANA_URL, query, flavour=flavour, data_view=view)


def _page(request: Request, wanted: LogRequest) -> dict[str, Any]:
    found = search.search(wanted.query, size=wanted.page_size, cursor=wanted.cursor)
    return _document(wanted.query, found, _next(request, wanted.query, found))


def _context(wanted: LogRequest) -> dict[str, Any]:
    context = search.context(wanted.context, lines=wanted.lines)
    if context is None:
        raise NotFound("There is no line with this id. It may have been deleted.")
    lines = (*context.before, context.line, *context.after)
    query = replace(wanted.query, since=lines[0].at, until=lines[-1].at)
    found = Found(lines=lines, total=len(lines), notes=context.notes)
    return _document(query, found, None)


def _document(query: LogQuery, found: Found, following: str | None) -> dict[str, Any]:
    return {
        "next": following,
        "since": _time(query.since),
        "until": _time(query.until),
        "total": found.total,
        "total_is_exact": found.exact,
        "step_seconds": query.step_seconds,
        "histogram": [
            {"at": _time(each.at), "lines": each.lines, "errors": each.bad}
            for each in found.buckets
        ],
        "notes": found.notes,
        "kibana_url": kibana_url(query),
        "results": [_as_json(line) for line in found.lines],
    }


def _as_json(line: LogLine) -> dict[str, Any]:
    return {
        "id": line.id,
        "index": line.index,
        "at": _time(line.at),
        "level": line.level,
        "message": line.message,
        "service": line.service,
        "host": line.host,
        "trace_id": line.trace_id,
        "trace_url": trace_url(line.trace_id),
        "fields": dict(line.fields),
    }


def _time(at: datetime) -> str:
    return stamp(at)


def _next(request: Request, query: LogQuery, found: Found) -> str | None:
    """Return the following page, over the same time whatever the clock says then."""
    if found.next_cursor is None:
        return None
    parameters = request.query_params.copy()
    for name in ("range", "around", "minutes"):
        parameters.pop(name, None)
    parameters["since"], parameters["until"] = stamp(query.since), stamp(query.until)
    parameters["cursor"] = found.next_cursor.written()
    return request.build_absolute_uri(f"{request.path}?{parameters.urlencode()}")
