"""Searches logs in Elasticsearch or OpenSearch, and finds the lines around one of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.utils import timezone

from monitoring.elasticsearch import Elasticsearch
from monitoring.logs import queries, replies
from monitoring.logs.cursors import Cursor
from monitoring.logs.queries import LogQuery
from monitoring.logs.replies import Found, LogLine, ReplyError
from portal.core import breaker
from portal.core.http import Fault, UpstreamError
from portal.core.models import Upstream, UpstreamKind

PAGE_SIZE = 100
LARGEST_PAGE = 500
CONTEXT_LINES = 25
# A user is waiting, and occupies a web thread. The server stops its own search before that.
INTERACTIVE_SECONDS = 8.0
NOT_CONFIGURED = (
    "No Elasticsearch or OpenSearch is connected. Set ELASTICSEARCH_URL and ELASTICSEARCH_INDEX, or add an"
    " upstream of the kind Elasticsearch."
)


class NotConfiguredError(UpstreamError):
    """No log server is configured."""

    def __init__(self) -> None:
        super().__init__(Fault.NOT_FOUND, NOT_CONFIGURED)


@dataclass(frozen=True, slots=True)
class Context:
    """One line with its neighbours of the same service and host, all oldest first."""

    before: tuple[LogLine, ...]
    line: LogLine
    after: tuple[LogLine, ...]
    notes: tuple[str, ...]


def default_elasticsearch() -> Upstream | None:
    """Return the upstream to search: that of the environment, else the first by name."""
    servers = Upstream.objects.enabled().filter(kind=UpstreamKind.ELASTICSEARCH)
    return servers.order_by("-managed", "name").first()


def search(
    query: LogQuery, *, size: int = PAGE_SIZE, cursor: Cursor | None = None, histogram: bool = True
) -> Found:
    """Return one page, newest first. Raises UpstreamError, including QueryRefusedError and NotConfiguredError."""
    with _client() as client:
        body = queries.search(query, size=size, cursor=cursor, histogram=histogram)
        decoded = client.search(body)
        return _read(client, decoded, query, size=size, cursor=cursor)


def context(line_id: str, *, lines: int = CONTEXT_LINES) -> Context | None:
    """Return the line with that id and its neighbours; None when there is no such line."""
    now = timezone.now()
    whole = LogQuery(now, now)
    with _client() as client:
        found = _read(client, client.search(queries.one(line_id)), whole, size=1)
        if not found.lines:
            return None
        line = found.lines[0]
        before, after = (
            _read(
                client,
                client.search(
                    queries.neighbours(
                        Cursor(line.sort, line.tie, (line.id,)),
                        service=line.service,
                        host=line.host,
                        size=lines,
                        before=is_before,
                    )
                ),
                whole,
                size=lines,
            )
            for is_before in (True, False)
        )
    notes = tuple(dict.fromkeys((*before.notes, *after.notes)))
    return Context(before.lines[::-1], line, after.lines, notes)


@contextmanager
def _client() -> Iterator[Elasticsearch]:
    """Open the client for one interactive search; the circuit breaker skips a hanging server for a while."""
    upstream = default_elasticsearch()
    if upstream is None:
        raise NotConfiguredError
    with breaker.guarded(upstream):
        try:
            with Elasticsearch(upstream, timeout_seconds=INTERACTIVE_SECONDS) as client:
                yield client
        except UpstreamError as error:
            if error.fault != Fault.TIMEOUT:
                raise
            sentence = (
                f"{upstream.name} did not answer within {INTERACTIVE_SECONDS:g} seconds. Choose a shorter time or"
                " fewer indices, and look at the cluster's load."
            )
            raise UpstreamError(Fault.TIMEOUT, sentence) from error


def _read(
    client: Elasticsearch,
    decoded: object,
    query: LogQuery,
    *,
    size: int,
    cursor: Cursor | None = None,
) -> Found:
    try:
        return replies.found(decoded, query, size=size, cursor=cursor)
    except ReplyError as error:
        sentence = f"{client.client.target.base_url} does not answer like Elasticsearch. {error}"
        raise UpstreamError(Fault.MALFORMED, sentence) from error
