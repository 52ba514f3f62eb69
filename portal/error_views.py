"""Error views: a problem document under /api/, elsewhere a page with a link to continue."""

import sys
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string

from portal.core import problems, request_context


def _is_api(request: HttpRequest) -> bool:
    return request.path_info.startswith("/api/")


def _page(status: int, title: str, sentence: str) -> HttpResponse:
    request_id = request_context.current().request_id
    facts = {"status": status, "title": title, "sentence": sentence, "request_id": request_id}
    return HttpResponse(render_to_string("portal/failure.html", facts), status=status)


def bad_request(request: HttpRequest, exception: Exception) -> Any:
    if not _is_api(request):
        said = (
            "The URL or the data that was sent is incomplete, too large, or contains invalid characters."
            " Go back, check it and try again."
        )
        return _page(400, "This request could not be read", said)
    detail = "The request could not be read. Check its Host header and its size."
    return problems.response("Malformed request", 400, detail, "parse_error")


def forbidden(request: HttpRequest, exception: Exception) -> Any:
    if not _is_api(request):
        said = "Your account is not allowed to see this page or do this. An administrator can change your roles."
        return _page(403, "Not allowed", said)
    return problems.response(
        "Permission denied", 403, "Your account is not allowed to do this.", "permission_denied"
    )


def csrf_failure(request: HttpRequest, reason: str = "") -> Any:
    if not _is_api(request):
        said = (
            "Nothing was changed: the form was too old, or came from another site. Go back, reload the page and"
            " submit it again. Cookies must be allowed for this site."
        )
        return _page(403, "The form has expired", said)
    detail = "A change made with a session cookie needs the header X-CSRFToken."
    return problems.response("Permission denied", 403, detail, "permission_denied")


def not_found(request: HttpRequest, exception: Exception) -> Any:
    if not _is_api(request):
        said = "There is no page at this address. It may have been deleted, or the address is incomplete."
        return _page(404, "Page not found", said)
    detail = (
        "There is no endpoint with this path. The API is under /api/v1/; its paths end in a slash."
    )
    return problems.response("Not found", 404, detail, "not_found")


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer an unhandled exception. Uses neither the database nor Redis."""
    away = isinstance(sys.exc_info()[1], problems.OUTAGES)
    if not _is_api(request):
        return _outage_page() if away else _fault_page()
    if away:
        detail = str(problems.Unavailable.default_detail)
        return problems.response("Service unavailable", 503, detail, "unavailable")
    detail = "An error occurred in the portal. Its log has the details under this request_id."
    return problems.response("Server error", 500, detail, "server_error")


def _outage_page() -> HttpResponse:
    said = (
        "The portal cannot reach its database or Redis at the moment. Try again shortly;"
        " manage.py doctor finds the cause."
    )
    return _page(503, "Temporarily unavailable", said)


def _fault_page() -> HttpResponse:
    said = (
        "An error occurred in the portal, and its log has the details. If it happens again, tell an"
        " administrator the request id below."
    )
    return _page(500, "Something went wrong", said)
