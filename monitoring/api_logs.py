"""Log search over the API; if the server rejects the query, its error message is returned."""

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
    id = serializers.CharField(help_text="Id of the line, for `context`.")
    index = serializers.CharField(help_text="Index that contains the line.")
    at = serializers.DateTimeField(help_text="Value of `@timestamp`.")
    level = serializers.ChoiceField(choices=tuple(LEVELS), allow_blank=True)
    message = serializers.CharField()
    service = serializers.CharField(help_text="Name of the service in the line.")
    host = serializers.CharField()
    trace_id = serializers.CharField()
    trace_url = serializers.CharField(help_text="URL of the trace; empty unless TRACES_URL is set.")
    fields = serializers.DictField(  # type: ignore[assignment]
        child=serializers.CharField(),
        help_text="All fields of the line by dotted name, for example `url.path`.",
    )


class LogBucketSerializer(serializers.Serializer[Any]):
    at = serializers.DateTimeField(help_text="Start of the interval.")
    lines = serializers.IntegerField(help_text="Number of lines.")
    errors = serializers.IntegerField(help_text="Number of lines with level error or critical.")  # type: ignore[assignment]


class LogPageSerializer(serializers.Serializer[Any]):
    """A page of search results. The status is also 200 if results are incomplete: see `notes`."""

    next = serializers.CharField(
        allow_null=True, help_text="URL of the next page; null on the last page."
    )
    since = serializers.DateTimeField(help_text="Start of the period that was searched.")
    until = serializers.DateTimeField(help_text="End of the period that was searched.")
    total = serializers.IntegerField(help_text="Number of matching lines.")
    total_is_exact = serializers.BooleanField(help_text="False if `total` is a lower bound.")
    step_seconds = serializers.IntegerField(help_text="Length of a histogram interval in seconds.")
    histogram = LogBucketSerializer(many=True, help_text="Number of lines over time.")
    notes = serializers.ListField(
        child=serializers.CharField(), help_text="Which results are missing, and why."
    )
    kibana_url = serializers.CharField(
        help_text="URL of the same search in Kibana or OpenSearch Dashboards; empty unless KIBANA_URL is set."
    )
    results = LogLineSerializer(many=True)


def _parameter(name: str, said: str, kind: Any = OpenApiTypes.STR) -> OpenApiParameter:
    return OpenApiParameter(name, kind, description=said)


PARAMETERS = [
    _parameter("q", "Lucene query, for example `timeout AND NOT url.path:healthz`."),
    _parameter("service", "Slug of a service, which selects its log lines, or the name of a service in the logs."),
    _parameter("host", "Exact name of the host."),
    _parameter("level", f"One or more of {', '.join(LEVELS)}; separated by commas."),
    _parameter("since", "Start of the period, as Unix or RFC 3339 time. Default: one hour before `until`."),
    _parameter("until", "End of the period (exclusive), as Unix or RFC 3339 time. Default: now."),
    _parameter("range", "Length of the period instead of `since`: `15m`, `1h`, `6h`, `24h` or `7d`."),
    _parameter("around", "Unix or RFC 3339 time; searches from `minutes` before to `minutes` after it."),
    _parameter("minutes", "Minutes before and after `around`, 1 to 1440. Default: 5.", OpenApiTypes.INT),
    _parameter("context", "Id of a line; returns it with the surrounding lines of its service and host, oldest first."),
    _parameter("lines", "Number of lines before and after `context`, 1 to 100. Default: 25.", OpenApiTypes.INT),
    _parameter("cursor", "Pagination cursor, as contained in `next`."),
    _parameter("page_size", "Number of lines per page, 1 to 500. Default: 100.", OpenApiTypes.INT),
    OpenApiParameter("format", OpenApiTypes.STR, enum=["csv"],
                     description=f"`csv` streams the results as CSV, at most {export.MOST_LINES:,} lines."),
]  # fmt: skip


class LogSearchView(APIView):
    """Search logs in Elasticsearch or OpenSearch, newest first."""

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
