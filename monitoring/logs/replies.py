"""Parses search replies (pure): lines, histogram, what is missing, and the server's error messages.

A reply with status 200 may be incomplete: `timed_out` and `_shards.failed` say so.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from monitoring.logs.cursors import TIED_IDS, Cursor
from monitoring.logs.queries import (
    HOST_FIELDS,
    LEVELS,
    SERVICE_FIELDS,
    TIME,
    TIMEOUT_SECONDS,
    LogQuery,
)
from portal.core import sanitize

MESSAGE_FIELDS = ("message", "msg", "log", "event.original", "error.message")
LEVEL_NAMES = ("log.level", "level", "severity", "levelname", "loglevel")
TRACE_FIELDS = ("trace.id", "trace_id", "traceId", "otelTraceID")
FIELDS_SHOWN = 200
VALUE_LIMIT = 8000
NO_INDEX = (
    "There is no index with this name, so nothing was searched. Correct ELASTICSEARCH_INDEX or the option index"
    " of the upstream; or nothing has been written yet."
)
MESSAGE_LIMIT = 20_000
_CANONICAL = {spelling: level for level, words in LEVELS.items() for spelling in words}


class ReplyError(ValueError):
    """The reply does not have the format of a search reply; the message says where."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line. `level` is one of LEVELS, or empty; `fields` has all fields, flattened, as text.

    `sort` and `tie` are its position: its time as the server sorts it, and its number in its shard.
    """

    id: str
    index: str
    sort: int
    tie: int
    at: datetime
    level: str
    message: str
    service: str
    host: str
    trace_id: str
    fields: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Bucket:
    """The number of lines in the step of the histogram that starts at `at`, and how many are errors or worse."""

    at: datetime
    lines: int
    bad: int


@dataclass(frozen=True, slots=True)
class Found:
    """One page. `total` is a lower bound unless `exact`; `notes` say what is missing and why."""

    lines: tuple[LogLine, ...] = ()
    total: int = 0
    exact: bool = True
    buckets: tuple[Bucket, ...] = ()
    notes: tuple[str, ...] = ()
    next_cursor: Cursor | None = None
    took_ms: int = 0


def found(decoded: Any, query: LogQuery, *, size: int, cursor: Cursor | None = None) -> Found:
    """Return the result of a search. Raises ReplyError; single unreadable lines are only counted."""
    hits = decoded.get("hits") if isinstance(decoded, dict) else None
    listed = hits.get("hits") if isinstance(hits, dict) else None
    if not isinstance(decoded, dict) or not isinstance(hits, dict) or not isinstance(listed, list):
        raise ReplyError("Its answer has no list of hits.")
    lines = [line for hit in listed if (line := _line(hit)) is not None]
    total, exact = _total(hits.get("total"), len(listed))
    return Found(
        lines=tuple(lines),
        total=total,
        exact=exact,
        buckets=tuple(_buckets(decoded, query)) if cursor is None else (),
        notes=tuple(_notes(decoded, unreadable=len(listed) - len(lines))),
        next_cursor=_next(lines, cursor) if lines and len(listed) >= size else None,
        took_ms=_count(decoded.get("took")),
    )


def words(decoded: Any) -> str:
    """Return the server's most specific reason for its refusal, in one sentence; empty when it gave none."""
    error = decoded.get("error") if isinstance(decoded, dict) else None
    if isinstance(error, str):
        return sanitize.line(error, 300)
    if not isinstance(error, dict):
        return ""
    causes = error.get("root_cause")
    first = causes[0] if isinstance(causes, list) and causes else error
    said, why = _reason(first) or _reason(error), _deepest(_failed_shard(error) or error)
    return sanitize.line(": ".join(filter(None, (said, "" if why in said else why))), 400)


def kind_of_error(decoded: Any) -> str:
    """Return the server's name of the error, such as index_not_found_exception."""
    error = decoded.get("error") if isinstance(decoded, dict) else None
    return str(error.get("type", ""))[:100] if isinstance(error, dict) else ""


def flat(source: Mapping[str, Any], prefix: str = "", depth: int = 8) -> Iterator[tuple[str, str]]:
    """Yield (dotted name, text) for each field of a document, whether its names are nested or dotted."""
    for name, value in source.items():
        path = f"{prefix}{name}"
        if isinstance(value, dict) and value and depth:
            yield from flat(value, f"{path}.", depth - 1)
        elif value is not None and value != "" and value != {}:
            written = value if isinstance(value, str) else _as_text(value)
            yield sanitize.line(path, 300), sanitize.text(written, VALUE_LIMIT)


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list) and all(isinstance(item, str | int | float) for item in value):
        return ", ".join(map(str, value[:100]))
    return str(sanitize.json(value, limit=VALUE_LIMIT))


def _line(hit: Any) -> LogLine | None:
    """Return the line of a hit; None when it has no id, document or time."""
    if not isinstance(hit, dict) or not isinstance(hit.get("_source"), dict):
        return None
    sort = hit.get("sort")
    moment, tie, *_ = [*sort, None, None] if isinstance(sort, list) else (None, None)
    at = _instant(moment) if type(moment) is int else None
    if (
        at is None
        or not isinstance(moment, int)
        or not isinstance(hit.get("_id"), str)
        or not hit["_id"]
    ):
        return None
    fields = dict(sorted(flat(hit["_source"]))[:FIELDS_SHOWN])
    message = sanitize.text(_first(fields, MESSAGE_FIELDS), MESSAGE_LIMIT)
    return LogLine(
        id=sanitize.line(hit["_id"], 512),
        index=sanitize.line(hit.get("_index", ""), 255),
        sort=moment,
        tie=_count(tie),
        at=at,
        level=_level(_first(fields, LEVEL_NAMES)),
        message=message,
        service=sanitize.line(_first(fields, SERVICE_FIELDS), 200),
        host=sanitize.line(_first(fields, HOST_FIELDS), 200),
        trace_id=_first(fields, TRACE_FIELDS)[:64],
        fields={name: value for name, value in fields.items() if name != TIME},
    )


def _first(fields: Mapping[str, str], names: Sequence[str]) -> str:
    return next((fields[name] for name in names if fields.get(name)), "")


def _level(written: str) -> str:
    return _CANONICAL.get(written.strip().lower(), "")


def _instant(moment: int) -> datetime | None:
    """Return the time of a sort value, in milliseconds or, for `date_nanos`, nanoseconds."""
    try:
        seconds = moment / (1e9 if abs(moment) > 10**15 else 1e3)
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _total(total: Any, shown: int) -> tuple[int, bool]:
    if isinstance(total, dict):
        return max(_count(total.get("value")), shown), total.get("relation", "eq") == "eq"
    return max(_count(total), shown), type(total) is int


def _count(value: Any) -> int:
    return value if type(value) is int and 0 <= value < 2**62 else 0


def _next(lines: Sequence[LogLine], cursor: Cursor | None) -> Cursor:
    sort, tie = lines[-1].sort, lines[-1].tie
    tied = [line.id for line in lines if (line.sort, line.tie) == (sort, tie)]
    if cursor is not None and (cursor.sort, cursor.tie) == (sort, tie):
        tied = [*cursor.ids, *tied]
    # At most one per shard. If the server does not number lines, ids that do not fit into a link are skipped.
    return Cursor(sort, tie, tuple(tied) if len(tied) <= TIED_IDS else ())


def _buckets(decoded: Mapping[str, Any], query: LogQuery) -> Iterator[Bucket]:
    """Yield a bucket for each step of the whole range, with zero where nothing was counted."""
    counted = {}
    for bucket in _listed(decoded, "aggregations", "over_time", "buckets"):
        if isinstance(bucket, dict) and type(bucket.get("key")) is int:
            bad = bucket.get("bad")
            bad_count = bad.get("doc_count") if isinstance(bad, dict) else 0
            counted[bucket["key"]] = (_count(bucket.get("doc_count")), _count(bad_count))
    if not counted:
        return
    step = query.step_seconds * 1000
    first = int(query.since.timestamp() * 1000) // step * step
    for key in range(first, int(query.until.timestamp() * 1000), step):
        lines, bad = counted.get(key, (0, 0))
        at = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=key)
        yield Bucket(at, lines, min(bad, lines))


def _listed(value: Any, *names: str) -> list[Any]:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, list) else []


def _notes(decoded: Mapping[str, Any], *, unreadable: int) -> Iterator[str]:
    if decoded.get("timed_out"):
        stopped = f"The search was stopped after {TIMEOUT_SECONDS} seconds"
        yield f"{stopped}, so lines are missing. Choose a shorter time."
    shards = decoded.get("_shards")
    shards = shards if isinstance(shards, dict) else {}
    if failed := _count(shards.get("failed")):
        why = next(filter(None, (_deepest(each) for each in _listed(shards, "failures"))), "")
        said = f": {sanitize.line(why, 300)}" if why else ""
        yield f"{failed} of {_count(shards.get('total'))} shards failed, so lines are missing{said}."
    if has_no_index(decoded):
        yield NO_INDEX
    if unreadable:
        yield f"{unreadable} lines could not be read and are left out."


def has_no_index(decoded: Any) -> bool:
    """Return whether no index matched the pattern; with wildcards, the server does not report that as an error."""
    shards = decoded.get("_shards") if isinstance(decoded, dict) else None
    return isinstance(shards, dict) and type(shards.get("total")) is int and shards["total"] == 0


def _reason(error: Any) -> str:
    reason = error.get("reason") if isinstance(error, dict) else None
    return reason.partition("\n")[0].strip() if isinstance(reason, str) else ""


def _failed_shard(error: Mapping[str, Any]) -> Any:
    return next(
        (each.get("reason") for each in _listed(error, "failed_shards") if isinstance(each, dict)),
        None,
    )


def _deepest(error: Any) -> str:
    """Return the most specific reason in a chain of causes."""
    said = ""
    for _ in range(20):
        if not isinstance(error, dict):
            break
        said = _reason(error) or said
        nested = error.get("reason")
        error = nested if isinstance(nested, dict) else error.get("caused_by")
    return said
