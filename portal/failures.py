"""What answers when no view does: a problem under /api/, Django's plain page elsewhere."""

import sys
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views import defaults
from django.views.csrf import csrf_failure as django_csrf_failure

from portal.core import problems


def _is_api(request: HttpRequest) -> bool:
    return request.path_info.startswith("/api/")


def bad_request(request: HttpRequest, exception: Exception) -> Any:
    if not _is_api(request):
        return defaults.bad_request(request, exception)
    detail = "The request could not be read. Check its Host header and its size."
    return problems.response("Malformed request", 400, detail, "parse_error")


def forbidden(request: HttpRequest, exception: Exception) -> Any:
    if not _is_api(request):
        return defaults.permission_denied(request, exception)
    return problems.response("Permission denied", 403, "You may not do that.", "permission_denied")


def csrf_failure(request: HttpRequest, reason: str = "") -> Any:
    if not _is_api(request):
        return django_csrf_failure(request, reason)
    detail = "A change made with the session's cookie needs the header X-CSRFToken."
    return problems.response("Permission denied", 403, detail, "permission_denied")


def not_found(request: HttpRequest, exception: Exception) -> Any:
    if not _is_api(request):
        return defaults.page_not_found(request, exception)
    detail = "No endpoint has this path. The API is under /api/v1/; its paths end in a slash."
    return problems.response("Not found", 404, detail, "not_found")


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer an exception that no view caught. Asks neither the database nor Redis."""
    away = isinstance(sys.exc_info()[1], problems.OUTAGES)
    if not _is_api(request):
        reply = defaults.server_error(request)
        reply.status_code = 503 if away else 500
        return reply
    if away:
        detail = str(problems.Unavailable.default_detail)
        return problems.response("Service unavailable", 503, detail, "unavailable")
    detail = "The portal failed. Its log has the details under this request_id."
    return problems.response("Server error", 500, detail, "server_error")
