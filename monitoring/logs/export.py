"""Exports the lines of a search as CSV: page by page, as fast as the client reads them, up to a limit."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.http import StreamingHttpResponse

from audit import services as audit
from audit.services import Target
from monitoring.logs import search
from monitoring.logs.parameters import LogRequest
from monitoring.logs.queries import stamp
from monitoring.logs.replies import LogLine
from monitoring.logs.search import LARGEST_PAGE
from portal.core import csv
from portal.core.http import Fault, UpstreamError

MOST_LINES = 10_000
COLUMNS = ("at", "level", "service", "host", "message", "trace_id", "id", "index", "fields")


def download(wanted: LogRequest) -> StreamingHttpResponse:
    """Return the results of `wanted`, newest first, as an audited download. Raises UpstreamError.

    The first page is requested at once, so that a refusal by the server is still an HTTP error. If a later
    page fails, the download is aborted, so that a file that looks complete is complete.
    """
    reply = csv.response("logs", COLUMNS, map(_row, _lines(wanted)))
    named = audit.service_data(wanted.query.service)
    facts = {"filters": _filters(wanted), "format": "csv", **named}
    audit.record("data.exported", target=Target("logs"), data=facts)
    return reply


def _lines(wanted: LogRequest) -> Iterator[LogLine]:
    if wanted.context:
        found = search.context(wanted.context, lines=wanted.lines)
        if found is None:
            raise UpstreamError(
                Fault.NOT_FOUND, "There is no line with this id. It may have been deleted."
            )
        yield from (*found.before, found.line, *found.after)
        return
    left, cursor = MOST_LINES, wanted.cursor
    while left > 0:
        size = min(LARGEST_PAGE, left)
        page = search.search(wanted.query, size=size, cursor=cursor, histogram=False)
        yield from page.lines
        left, cursor = left - len(page.lines), page.next_cursor
        if cursor is None:
            return


def _row(line: LogLine) -> Sequence[Any]:
    return (
        stamp(line.at), line.level, line.service, line.host, line.message, line.trace_id, line.id, line.index,
        dict(line.fields),
    )  # fmt: skip


def _filters(wanted: LogRequest) -> dict[str, str]:
    query = wanted.query
    said = {
        "q": query.text,
        "service": query.service,
        "host": query.host,
        "level": ",".join(query.levels),
        "since": stamp(query.since),
        "until": stamp(query.until),
        "context": wanted.context,
    }
    return {name: value for name, value in said.items() if value}
