"""Serves the log lines on a service's page, loaded after the page because the log server may be slow or down."""

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone

from monitoring.logs import search
from monitoring.logs.parameters import parse_parameters
from monitoring.logs.service_fields import with_service_fields
from portal.core.http import UpstreamError
from portal.core.models import Service
from portal.logs_page import PERMISSION, address

SHOWN = 10


def service_logs(request: HttpRequest, service_id: int) -> HttpResponse:
    """Return the newest lines of the last hour as part of the page; a failure is shown there as a sentence."""
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    service = get_object_or_404(Service, pk=service_id)
    wanted = with_service_fields(parse_parameters({"service": service.slug}, at=timezone.now()))
    try:
        found = search.search(wanted.query, size=SHOWN)
    except UpstreamError as error:
        return render(request, "portal/service_log_lines.html", {"sentence": str(error)})
    context = {
        "found": found,
        "bad": sum(bucket.bad for bucket in found.buckets),
        "all": address({"service": service.slug}),
        "errors": address({"service": service.slug, "level": "critical,error", "range": "24h"}),
    }
    return render(request, "portal/service_log_lines.html", context)
