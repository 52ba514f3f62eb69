"""Page of the log search in the admin: a form, a histogram, expandable lines, and the context of one line."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from monitoring.api_logs import kibana_url
from monitoring.elasticsearch import QueryRefusedError
from monitoring.logs import export, search
from monitoring.logs.models import SavedSearch
from monitoring.logs.parameters import (
    AROUND_MINUTES,
    DEFAULT_RANGE,
    RANGES,
    LogRequest,
    ParameterError,
    parse_parameters,
)
from monitoring.logs.queries import stamp
from monitoring.logs.replies import Bucket, Found, LogLine
from monitoring.logs.saved import SAVED_PARAMETERS
from monitoring.logs.search import NotConfiguredError
from monitoring.logs.service_fields import with_service_fields
from portal.core.http import UpstreamError
from portal.core.links import trace_url
from portal.core.models import Service

PERMISSION = "monitoring.view_panel"
LEVEL_CHOICES = (
    ("", "Any level"),
    ("critical,error", "Errors"),
    ("critical,error,warning", "Warnings and worse"),
    ("info", "Information"),
    ("debug", "Debug"),
)
AROUND_CHOICES = (1, 5, 30, 120)
KEPT = ("q", "service", "host", "level", "range", "since", "until", "around", "minutes")
LABELS = {"q": "Text", "range": "Time", "since": "From", "until": "Until", "service": "Service",
          "level": "Level", "host": "Host", "around": "Around", "minutes": "Minutes"}  # fmt: skip
TIMES = ("since", "until", "around", "minutes")


@dataclass(frozen=True, slots=True)
class Shown:
    """The content of the page: lines, or why there are none. `state` names the kind of failure."""

    state: str = "found"
    sentence: str = ""
    found: Found = field(default_factory=Found)
    lines: tuple[tuple[LogLine, str], ...] = ()
    anchor: str = ""


def logs(request: HttpRequest) -> HttpResponseBase:
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    parameters = request.GET.dict()
    if parameters.get("range"):  # chosen in the form, which may still hold an earlier time
        parameters = {name: value for name, value in parameters.items() if name not in TIMES}
    now = timezone.now()
    shown: Shown | StreamingHttpResponse
    try:
        wanted = with_service_fields(parse_parameters(parameters, at=now))
    except ParameterError as error:
        wanted = parse_parameters({}, at=now)
        shown = Shown("wrong", " ".join(_named(error)))
    else:
        shown = _shown(wanted, as_csv=parameters.get("format") == "csv")
    if isinstance(shown, StreamingHttpResponse):
        return shown
    return TemplateResponse(request, "portal/logs.html", _page(request, parameters, wanted, shown))


def _page(
    request: HttpRequest, parameters: dict[str, str], wanted: LogRequest, shown: Shown
) -> dict[str, Any]:
    return {
        **admin.site.each_context(request),
        "title": "Logs",
        "shown": shown,
        "wanted": wanted,
        "chosen": {name: parameters.get(name, "") for name in KEPT},
        "ranges": [(name, label) for name, (label, _seconds) in RANGES.items()],
        "default_range": DEFAULT_RANGE,
        "levels": LEVEL_CHOICES,
        "services": Service.objects.order_by("slug").values_list("slug", flat=True)[:500],
        "saved": SavedSearch.objects.visible_to(request.user)[:30],
        "save_url": _save_url(request, parameters),
        "kept_times": [(name, parameters[name]) for name in TIMES if parameters.get(name)],
        "here": address(parameters),
        "bars": _bars(shown.found.buckets, wanted, parameters),
        "older": _older(wanted, shown.found, parameters),
        "wider": _wider(wanted, parameters),
        "kibana": kibana_url(wanted.query),
        "csv": _csv(wanted, shown, parameters),
        "most_lines": export.MOST_LINES,
    }


def _named(error: ParameterError) -> list[str]:
    """Return the error messages of invalid fields, each with the label of its field."""
    return [
        f"{LABELS.get(name, name)}: {word}" for name, said in error.errors.items() for word in said
    ]


def _save_url(request: HttpRequest, parameters: dict[str, str]) -> str:
    """Return the URL of the form that saves this search; empty if it is trivial or the account may not save it."""
    query = {name: parameters[name] for name in SAVED_PARAMETERS if parameters.get(name)}
    if not query.keys() - {"range"} or not request.user.has_perm("monitoring.add_savedsearch"):
        return ""
    return f"{reverse('admin:monitoring_savedsearch_add')}?{urlencode({'query': urlencode(query)})}"


def _shown(wanted: LogRequest, *, as_csv: bool) -> Shown | StreamingHttpResponse:
    """Run the search, for the page or a file; any failure becomes a sentence on the page."""
    try:
        if as_csv:
            return export.download(wanted)
        if wanted.context:
            return _context(wanted)
        found = search.search(wanted.query, size=wanted.page_size, cursor=wanted.cursor)
    except NotConfiguredError as error:
        return Shown("unset", str(error))
    except QueryRefusedError as error:
        return Shown("refused", str(error))
    except UpstreamError as error:
        return Shown("down", str(error))
    return Shown(found=found, lines=_linked(found.lines))


def _context(wanted: LogRequest) -> Shown:
    context = search.context(wanted.context, lines=wanted.lines)
    if context is None:
        return Shown("gone", "There is no line with this id. It may have been deleted.")
    lines = (*context.before, context.line, *context.after)
    found = Found(lines=lines, total=len(lines), notes=context.notes)
    return Shown(found=found, lines=_linked(lines), anchor=context.line.id)


def _linked(lines: tuple[LogLine, ...]) -> tuple[tuple[LogLine, str], ...]:
    return tuple((line, trace_url(line.trace_id)) for line in lines)


def address(parameters: dict[str, str], **over: str) -> str:
    """Return the query string of this search with some parameters changed; empty ones are left out."""
    kept = {name: parameters.get(name, "") for name in KEPT} | over
    return "?" + urlencode({name: value for name, value in kept.items() if value})


def _between(since: datetime, until: datetime) -> dict[str, str]:
    return {"since": stamp(since), "until": stamp(until), "range": "", "around": "", "minutes": ""}


def _bars(
    buckets: tuple[Bucket, ...], wanted: LogRequest, parameters: dict[str, str]
) -> list[dict[str, Any]]:
    """Return the histogram in a view box of 100 by 100; each bar links to its time range."""
    most = max((bucket.lines for bucket in buckets), default=0)
    width = 100 / max(1, len(buckets))
    step = timedelta(seconds=wanted.query.step_seconds)

    def height(count: int) -> float:
        return max(2.0, 100 * count / most) if count else 0.0

    return [
        {
            "bucket": bucket,
            "x": f"{number * width + width * 0.08:.3f}",
            "width": f"{width * 0.84:.3f}",
            "all": f"{height(bucket.lines):.2f}",
            "all_y": f"{100 - height(bucket.lines):.2f}",
            "bad": f"{height(bucket.bad):.2f}",
            "bad_y": f"{100 - height(bucket.bad):.2f}",
            "link": address(parameters, **_between(bucket.at, bucket.at + step)),
        }
        for number, bucket in enumerate(buckets)
    ]


def _csv(wanted: LogRequest, shown: Shown, parameters: dict[str, str]) -> str:
    """Return the link to a CSV file of the lines shown, with the time range fixed to the current one."""
    if not shown.lines:
        return ""
    if shown.anchor:
        return address(parameters, context=wanted.context, format="csv")
    pinned = _between(wanted.query.since, wanted.query.until)
    return address(parameters, **pinned, format="csv")


def _older(wanted: LogRequest, found: Found, parameters: dict[str, str]) -> str:
    if found.next_cursor is None or wanted.context:
        return ""
    pinned = _between(wanted.query.since, wanted.query.until)
    return address(parameters, **pinned, cursor=found.next_cursor.written())


def _wider(wanted: LogRequest, parameters: dict[str, str]) -> list[tuple[int, str, bool]]:
    """Return links to longer and shorter times around a moment."""
    if wanted.around is None:
        return []
    now = int((wanted.query.until - wanted.around).total_seconds() // 60) or AROUND_MINUTES
    return [
        (minutes, address(parameters, minutes=str(minutes)), minutes == now)
        for minutes in AROUND_CHOICES
    ]
