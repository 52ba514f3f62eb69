"""Addresses of pages elsewhere: the trace of a request in Tempo, Jaeger or Grafana."""

import re

from django.conf import settings

_TRACE_ID = re.compile(r"^[0-9a-f]{16}([0-9a-f]{16})?$")
PLACEHOLDER = "{trace_id}"


def trace_url(trace_id: str) -> str:
    """Return where the trace is shown, or nothing when TRACES_URL is not set or the id is none.

    TRACES_URL names the place with `{trace_id}` in it; without, it is the base URL of a Jaeger,
    which shows a trace under `/trace/<id>`.
    """
    wanted = trace_id.lower()
    if not settings.TRACES_URL or not _TRACE_ID.match(wanted) or not wanted.strip("0"):
        return ""
    if PLACEHOLDER in settings.TRACES_URL:
        return str(settings.TRACES_URL.replace(PLACEHOLDER, wanted))
    return f"{settings.TRACES_URL}/trace/{wanted}"
