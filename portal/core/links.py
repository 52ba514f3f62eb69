"""Builds links for a request or a moment: to its trace in another tool, and to its log lines in the portal."""

import re
from datetime import UTC, datetime
from urllib.parse import urlencode

from django.conf import settings
from django.urls import NoReverseMatch, reverse

from portal.core.models import Upstream, UpstreamKind

_TRACE_ID = re.compile(r"^[0-9a-f]{16}([0-9a-f]{16})?$")
PLACEHOLDER = "{trace_id}"


def trace_url(trace_id: str) -> str:
    """Return the URL of a trace; empty when TRACES_URL is not set or the id is invalid.

    TRACES_URL contains `{trace_id}`; without that it is taken as the base URL of a Jaeger,
    which shows a trace at `/trace/<id>`.
    """
    wanted = trace_id.lower()
    if not settings.TRACES_URL or not _TRACE_ID.match(wanted) or not wanted.strip("0"):
        return ""
    if PLACEHOLDER in settings.TRACES_URL:
        return str(settings.TRACES_URL.replace(PLACEHOLDER, wanted))
    return f"{settings.TRACES_URL}/trace/{wanted}"


def logs_url(at: datetime, *, service: str = "", text: str = "") -> str:
    """Return the URL of the log search around `at`; empty when no logs can be searched."""
    try:
        page = reverse("admin:logs")
    except NoReverseMatch:
        return ""
    if not Upstream.objects.enabled().filter(kind=UpstreamKind.ELASTICSEARCH).exists():
        return ""
    moment = at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    wanted = {"around": moment, "service": service, "q": text}
    return f"{page}?{urlencode({name: value for name, value in wanted.items() if value})}"
