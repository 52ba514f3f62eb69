"""Builds search bodies (pure) that Elasticsearch 7.10 to 9 and OpenSearch all understand.

The text is a `query_string` in Lucene's syntax: `simple_query_string` would ignore a mistake and search
for something else, whereas the server rejects this one with a message that can be shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from monitoring.logs.cursors import Cursor
from portal.core.log_fields import Own

TIME = "@timestamp"
TIE = "_seq_no"  # every server numbers the lines of a shard by it
# The ECS name first, then names used elsewhere. Searching for a field that does not exist is not an error.
TEXT_FIELDS = (
    "message", "msg", "log", "event.original", "error.message", "error.type", "error.stack_trace", "url.path",
    "http.request.id", "trace.id", "user.name", "source.ip",
)  # fmt: skip
SERVICE_NAME = "service.name"
SERVICE_FIELDS = ("service.name", "service", "app", "application", "kubernetes.container.name")
HOST_FIELDS = ("host.name", "host.hostname", "hostname", "host", "kubernetes.pod.name")
LEVEL_FIELDS = ("log.level", "level", "severity", "levelname", "loglevel")
# Each level with its spellings, and the numbers that pino and bunyan use for it.
LEVELS: dict[str, tuple[str, ...]] = {
    "critical": ("critical", "crit", "fatal", "emergency", "emerg", "alert", "panic", "60"),
    "error": ("error", "err", "severe", "50"),
    "warning": ("warning", "warn", "40"),
    "info": ("info", "information", "informational", "notice", "30"),
    "debug": ("debug", "trace", "verbose", "20", "10"),
}
BAD_LEVELS = ("critical", "error")
TIMEOUT_SECONDS = 5
COUNTED_HITS = 10_000
BARS = 60
STEPS = (
    1,
    2,
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1800,
    3600,
    7200,
    10_800,
    21_600,
    43_200,
    86_400,
)


@dataclass(frozen=True, slots=True)
class LogQuery:
    """A search: from `since` up to but not including `until`, newest first."""

    since: datetime
    until: datetime
    text: str = ""
    service: str = ""
    host: str = ""
    levels: tuple[str, ...] = ()
    own: Own = ()  # log fields of `service`; if empty, lines are found by its name

    @property
    def step_seconds(self) -> int:
        """Return the width of a bar, chosen so that there are at most about BARS of them."""
        wanted = (self.until - self.since).total_seconds() / BARS
        return next((step for step in STEPS if step >= wanted), STEPS[-1])

    def around(self, at: datetime, minutes: int) -> "LogQuery":
        half = timedelta(minutes=minutes)
        return replace(self, since=at - half, until=at + half)


def stamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def search(
    query: LogQuery, *, size: int, cursor: Cursor | None = None, histogram: bool = True
) -> dict[str, Any]:
    """Return the body for one page; only the first page includes the histogram."""
    body = _body([_range(query), *_filters(query)], size=size, descending=True)
    if query.text:
        body["query"]["bool"]["must"] = [_text(query.text)]
    if cursor is not None:
        _continue(body, cursor, descending=True)
    elif histogram:
        body["aggs"] = {"over_time": _over_time(query)}
    return body


def one(line_id: str) -> dict[str, Any]:
    """Return the body that finds the line with that id."""
    return _body([{"ids": {"values": [line_id]}}], size=1, descending=True)


def neighbours(
    place: Cursor, *, service: str, host: str, size: int, before: bool
) -> dict[str, Any]:
    """Return the body for the lines just before or after the one at `place`, of the same service and host."""
    same = [
        _same(fields, value)
        for fields, value in ((SERVICE_FIELDS, service), (HOST_FIELDS, host))
        if value
    ]
    body = _body([{"exists": {"field": TIME}}, *same], size=size, descending=before)
    # A line of another shard at the same position counts as after it.
    _continue(body, replace(place, ids=()) if before else place, descending=before)
    return body


def _body(filters: Sequence[dict[str, Any]], *, size: int, descending: bool) -> dict[str, Any]:
    order = {"order": "desc" if descending else "asc", "unmapped_type": "date"}
    return {
        "size": size,
        "track_total_hits": COUNTED_HITS,
        "timeout": f"{TIMEOUT_SECONDS}s",
        "query": {"bool": {"filter": list(filters)}},
        "sort": [{TIME: order}, {TIE: {**order, "unmapped_type": "long"}}],
    }


def _continue(body: dict[str, Any], cursor: Cursor, *, descending: bool) -> None:
    """Continue at the cursor's position, without the lines there that were already shown."""
    if not cursor.ids:
        body["search_after"] = [cursor.sort, cursor.tie]
        return
    body["search_after"] = [cursor.sort, cursor.tie + (1 if descending else -1)]
    body["query"]["bool"]["must_not"] = [{"ids": {"values": list(cursor.ids)}}]


def _range(query: LogQuery) -> dict[str, Any]:
    bounds = {"gte": stamp(query.since), "lt": stamp(query.until)}
    return {"range": {TIME: {**bounds, "format": "strict_date_optional_time"}}}


def _filters(query: LogQuery) -> list[dict[str, Any]]:
    found = [_levels(query.levels)] if query.levels else []
    found += [_any_of(field, values) for field, values in service_pairs(query)]
    return found + ([_same(HOST_FIELDS, query.host)] if query.host else [])


def service_pairs(query: LogQuery) -> Own:
    """Return the fields that identify lines of the service: its log fields, else its name."""
    return query.own or (((SERVICE_NAME, (query.service,)),) if query.service else ())


def _any_of(field: str, values: Sequence[str]) -> dict[str, Any]:
    fields = SERVICE_FIELDS if field == SERVICE_NAME else (field,)
    return _either([_same(fields, value) for value in values])


def _text(written: str) -> dict[str, Any]:
    return {
        "query_string": {
            "query": written,
            "fields": list(TEXT_FIELDS),
            "default_operator": "AND",
            "lenient": True,  # a word does not match a numeric field; without this it is an error
            "allow_leading_wildcard": False,
        }
    }


def _same(fields: Sequence[str], value: str) -> dict[str, Any]:
    """Return a filter for fields whose whole value is `value`.

    Dynamic mapping creates a text field with a keyword subfield, and only the subfield distinguishes "shop"
    from "shop-api". A field without a subfield is a keyword itself, or a text that must contain all words.
    """
    twins = {"query": value, "fields": [f"{field}.keyword" for field in fields], "lenient": True}
    return _either([{"multi_match": twins}, *(_without_twin(field, value) for field in fields)])


def _without_twin(field: str, value: str) -> dict[str, Any]:
    words = {"query": value, "operator": "and", "lenient": True}
    twin = {"exists": {"field": f"{field}.keyword"}}
    return {"bool": {"filter": [{"match": {field: words}}], "must_not": [twin]}}


def _either(clauses: list[dict[str, Any]]) -> dict[str, Any]:
    if len(clauses) == 1:
        return clauses[0]
    return {"bool": {"should": clauses, "minimum_should_match": 1}}


def _levels(levels: Sequence[str]) -> dict[str, Any]:
    words = [word for level in levels for word in LEVELS[level]]
    spelled = dict.fromkeys(form for w in words for form in (w, w.upper(), w.capitalize()))
    return {
        "simple_query_string": {
            "query": " ".join(spelled),
            "fields": list(LEVEL_FIELDS),
            "default_operator": "or",
            "flags": "OR|WHITESPACE",
            "lenient": True,
        }
    }


def _over_time(query: LogQuery) -> dict[str, Any]:
    buckets = {"field": TIME, "fixed_interval": f"{query.step_seconds}s", "min_doc_count": 1}
    return {"date_histogram": buckets, "aggs": {"bad": {"filter": _levels(BAD_LEVELS)}}}
