"""Logs one structured line per request, in ECS field names, and counts it. Probes of `/healthz` are left out."""

import logging
import time
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from portal.core import consumers, request_context

log = logging.getLogger("portal.access")
NOT_LOGGED = ("/healthz", "/static/")


class AccessLogMiddleware:
    """Must come directly after RequestContextMiddleware: it reads that context once the response exists."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path.startswith(NOT_LOGGED):
            return self.get_response(request)
        started = time.perf_counter_ns()
        response = self.get_response(request)
        context = request_context.current()
        taken = time.perf_counter_ns() - started
        consumers.observe(context.url_path, context.actor, response.status_code, taken / 1e9)
        facts = {
            "event.dataset": "portal.access",
            "event.duration": taken,  # nanoseconds, as ECS defines it
            "http.request.method": context.http_method,
            "http.response.status_code": response.status_code,
            "url.path": context.url_path,
            "source.ip": context.source_ip,
            "user.name": context.actor.name if context.actor.type != "anonymous" else None,
            "user_agent.original": context.user_agent or None,
        }
        log.info(
            "%s %s %s", context.http_method, context.url_path, response.status_code, extra=facts
        )
        return response
