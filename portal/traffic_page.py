"""Page of API analytics in the admin: a table of routes or consumers, with numbers and curves."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from monitoring.traffic.report import BY_CONSUMER, BY_ROUTE, DEFAULT_WINDOW, WINDOWS, report
from monitoring.traffic.rows import ORDERS, RouteRow
from portal.core.models import Service

PERMISSION = "monitoring.view_panel"
HEIGHT, WIDTH = 24.0, 120.0


def routes(request: HttpRequest) -> HttpResponse:
    return _page(request, BY_ROUTE)


def consumers(request: HttpRequest) -> HttpResponse:
    return _page(request, BY_CONSUMER)


def _page(request: HttpRequest, by: str) -> HttpResponse:
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    window = _one_of(request.GET.get("window"), WINDOWS, DEFAULT_WINDOW)
    order = _one_of(request.GET.get("order"), ORDERS, "requests")
    service = request.GET.get("service", "")[:200]
    found = report(window=window, service=service, order=order, by=by)
    context = {
        **admin.site.each_context(request),
        "title": "API analytics",
        "report": found,
        "by": by,
        "rows": [
            (row, spark(row), row.requests / (found.requests or 1)) for row in found.rows[:200]
        ],
        "left_out": max(len(found.rows) - 200, 0),
        "windows": WINDOWS,
        "columns": COLUMNS,
        "chosen": {"window": window, "order": order, "service": service},
        "services": Service.objects.in_order().values_list("slug", "name"),
    }
    return TemplateResponse(request, "portal/traffic.html", context)


COLUMNS = (
    ("requests", "Requests"), ("change", "Change"), ("errors", "Errors"), ("p50", "p50"), ("p95", "p95"),
    ("p99", "p99"),
)  # fmt: skip


def _one_of(wanted: str | None, choices: Any, default: str) -> str:
    return wanted if wanted and wanted in choices else default


def spark(row: RouteRow) -> str:
    """Return the points of an SVG polyline, WIDTH by HEIGHT; the highest value touches the top."""
    if len(row.curve) < 2:
        return ""
    first, last = row.curve[0][0], row.curve[-1][0]
    top = max(value for _, value in row.curve) or 1.0
    return " ".join(
        f"{(at - first) / (last - first) * WIDTH:.1f},{HEIGHT - 1 - value / top * (HEIGHT - 2):.1f}"
        for at, value in row.curve
    )
