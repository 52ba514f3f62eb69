"""Builds the bodies of searches (pure), in what Elasticsearch 7.10 to 9 and OpenSearch have in common.

The text is Lucene's `query_string`: `simple_query_string` would swallow a mistake and search for
something else, while this one is refused by the server in words that can be shown.
"""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from portal.core.log_fields import Own

TIME = "@timestamp"
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
TIED_IDS = 100


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


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page ended: the sort value of its last line, and the ids of that time already shown.

    `_doc` is no tie-break over several shards and changes with merges, and sorting by `_id` may be
    forbidden; leaving out what was shown needs neither.
    """

    sort: int
    ids: tuple[str, ...] = ()

    def written(self) -> str:
        return base64.urlsafe_b64encode(json.dumps([self.sort, *self.ids]).encode()).decode()

    @classmethod
    def read(cls, written: str) -> "Cursor":
        """Raises ValueError for a text that `written` never gave."""
        try:
            decoded = json.loads(base64.urlsafe_b64decode(written.encode()))
        except (binascii.Error, RecursionError) as error:
            raise ValueError("not base64") from error
        if not isinstance(decoded, list) or not decoded or type(decoded[0]) is not int:
            raise ValueError("no cursor")
        sort, *ids = decoded
        if abs(sort) >= 2**62 or len(ids) > TIED_IDS or not all(_is_id(each) for each in ids):
            raise ValueError("no cursor")
        return cls(sort, tuple(ids))


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 512


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
    *, sort: int, line_id: str, service: str, host: str, size: int, before: bool
) -> dict[str, Any]:
    """Return the body for the lines just before or after one, of the same service and host."""
    same = [
        _same(fields, value)
        for fields, value in ((SERVICE_FIELDS, service), (HOST_FIELDS, host))
        if value
    ]
    body = _body([{"exists": {"field": TIME}}, *same], size=size, descending=before)
    if before:  # what has the very same time counts as after it
        body["search_after"] = [sort]
    else:
        _continue(body, Cursor(sort, (line_id,)), descending=False)
    return body


def _body(filters: Sequence[dict[str, Any]], *, size: int, descending: bool) -> dict[str, Any]:
    order = {"order": "desc" if descending else "asc", "unmapped_type": "date"}
    return {
        "size": size,
        "track_total_hits": COUNTED_HITS,
        "timeout": f"{TIMEOUT_SECONDS}s",
        "query": {"bool": {"filter": list(filters)}},
        "sort": [{TIME: order}],
    }


def _continue(body: dict[str, Any], cursor: Cursor, *, descending: bool) -> None:
    """Go on after the cursor: at its time again, but for the lines of that time already shown."""
    if not cursor.ids:
        body["search_after"] = [cursor.sort]
        return
    body["search_after"] = [cursor.sort + 1 if descending else cursor.sort - 1]
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
    clauses = [_same(fields, value) for value in values]
    return (
        clauses[0]
        if len(clauses) == 1
        else {"bool": {"should": clauses, "minimum_should_match": 1}}
    )


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
    """Return a filter that holds for keyword fields and for analysed ones."""
    options = {"fields": list(fields), "operator": "and", "lenient": True}
    return {"multi_match": {"query": value, **options}}


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
