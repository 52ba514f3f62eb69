"""Records signs of scanners: refused anonymous requests, and requests that look like attacks.

Each process records only a few per address and minute, so that a scan does not flood the trail. The
query is examined, but never stored.
"""

import logging
import threading
import time
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from audit import services as audit
from audit.services import Target
from portal.core import request_context
from security.rules import patterns
from security.rules.events import source_of

REJECTED = frozenset({400, 401, 404, 405, 406, 413, 414, 415})
PER_MINUTE, MAX_SOURCES = 30, 5_000
log = logging.getLogger(__name__)
_lock = threading.Lock()
_counts: dict[str, tuple[float, int]] = {}


def may_record(source: str, *, now: float) -> bool:
    """Count one record for `source`; False beyond the limit of this minute."""
    with _lock:
        began, count = _counts.pop(source, (now, 0))
        if now - began >= 60:
            began, count = now, 0
        if len(_counts) >= MAX_SOURCES:
            del _counts[next(iter(_counts))]
        _counts[source] = (began, count + 1)
        return count < PER_MINUTE


class SuspicionMiddleware:
    """Examines requests after the response. Users and tokens make mistakes, so only their attacks are recorded."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        context = request_context.current()
        signal = patterns.signal(f"{request.path_info}?{request.META.get('QUERY_STRING', '')}")
        is_stranger = context.actor.type == "anonymous" and "HTTP_AUTHORIZATION" not in request.META
        rejected = response.status_code in REJECTED and is_stranger
        if (rejected or signal) and may_record(
            source_of(context.source_ip or ""), now=time.monotonic()
        ):
            _record(request, response.status_code, signal)
        return response


def _record(request: HttpRequest, status: int, signal: str) -> None:
    action = "input.rejected" if status >= 400 else "input.suspicious"
    reason = f"looks like {signal}" if signal else f"answered {status}"
    target = Target("web", str(request.method), request.path_info)
    data = {"signal": signal} if signal else {}
    audit.record(
        action, target=target, outcome="failure", reason=reason, http_status=status, data=data
    )
