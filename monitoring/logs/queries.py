"""Builds the bodies of searches (pure), in what Elasticsearch 7.10 to 9 and OpenSearch have in common.

The text is Lucene's `query_string`: `simple_query_string` would swallow a mistake and search for
something else, while this one is refused by the server in words that can be shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from monitoring.logs.cursors import Cursor
from portal.core.log_fields import Own

TIME = "@timestamp"
TIE = "_seq_no"  # what every server numbers each line of a shard by
# Names that a thing has outside of ECS follow its ECS name. A field nobody has is no error.
TEXT_FIELDS = (
    "message", "msg", "log", "event.original", "error.message", "error.type", "error.stack_trace", "url.path",
    "http.request.id", "trace.id", "user.name", "source.ip",
)  # fmt: skip
SERVICE_NAME = "service.name"
SERVICE_FIELDS = ("service.name", "service", "app", "application", "kubernetes.container.name")
HOST_FIELDS = ("host.name", "host.hostname", "hostname", "host", "kubernetes.pod.name")
LEVEL_FIELDS = ("log.level", "level", "severity", "levelname", "loglevel")
# Level: its spellings, and what pino and bunyan write for it.
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
    """What is searched: from `since` up to but not including `until`, newest first."""

    since: datetime
    until: datetime
    text: str = ""
    service: str = ""
    host: str = ""
    levels: tuple[str, ...] = ()
    own: Own = ()  # what the lines of `service` hold, where it says so; else they name it

    @property
    def step_seconds(self) -> int:
        """The width of a bar, so that there are at most about BARS of them."""
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
    """Return the body of one page; the histogram belongs to the first."""
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
    """Return the body for the lines just before or after that at `place`, of the same service and host."""
    same = [
        _same(fields, value)
        for fields, value in ((SERVICE_FIELDS, service), (HOST_FIELDS, host))
        if value
    ]
    body = _body([{"exists": {"field": TIME}}, *same], size=size, descending=before)
    # What another shard has at the very same place counts as after it.
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
    """Go on after the cursor: at its place again, but for the lines of it already shown."""
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
    """Return what the lines of the service hold: its own fields, else its name."""
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
            "lenient": True,  # a word in a field of numbers is no match, rather than an error
            "allow_leading_wildcard": False,
        }
    }


def _same(fields: Sequence[str], value: str) -> dict[str, Any]:
    """Return a filter for fields that are the value as a whole.

    What is mapped by itself is a text with a twin of type keyword, and only the twin tells "shop" from
    "shop-api". A field without one is a keyword, or a text of which all words have to be there.
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
