"""Reads and writes issues in bulk: a fixed number of statements for a batch of any size.

Rows are copied into a temporary table, which exists as long as the connection, and are merged from
there, each with its transitions.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from django.db import connection

from monitoring.errors.payloads import raw_hash
from monitoring.errors.reconcile import Entry, Known, Plan, TallyKey
from portal.core import sanitize

_encoder = msgspec.json.Encoder()
INCOMING = """
CREATE TEMPORARY TABLE IF NOT EXISTS monitoring_incoming_issue (
    id bigint, service_id bigint, issue_id text, short_id text, project text, title text, culprit text,
    level text, platform text, status text, substatus text, count bigint, user_count bigint,
    assigned_to text, permalink text, trend jsonb, raw jsonb, content_hash bytea, raw_hash bytea,
    first_seen_at timestamptz, last_seen_at timestamptz, regressed_at timestamptz, steps text[]
) ON COMMIT DELETE ROWS
"""
_SAID = (
    "service_id, short_id, project, title, culprit, level, platform, status, substatus, count, user_count,"
    " assigned_to, permalink, trend, raw, content_hash, raw_hash, first_seen_at, last_seen_at"
)
_KNOWN = """
SELECT issue_id, id, content_hash, status, substatus, count, last_seen_at, service_id, assigned_to,
    gone_at IS NOT NULL, missing_since IS NOT NULL
FROM monitoring_errorissue WHERE upstream_id = %s AND issue_id = ANY(%s)
"""


def load_known(upstream_id: int, issue_ids: Sequence[str]) -> dict[str, Known]:
    with connection.cursor() as cursor:
        cursor.execute(_KNOWN, [upstream_id, list(issue_ids)])
        return {row[0]: Known(row[1], bytes(row[2]), *row[3:]) for row in cursor.fetchall()}


def load_same(upstream_id: int) -> dict[bytes, str]:
    """Return the ids of all issues, keyed by the hash of their item as last sent."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT encode(raw_hash, 'hex'), issue_id FROM monitoring_errorissue WHERE upstream_id = %s"
            " AND raw_hash <> '' AND gone_at IS NULL AND missing_since IS NULL",
            [upstream_id],
        )
        return {bytes.fromhex(row[0]): row[1] for row in cursor.fetchall()}


def write(upstream_id: int, plan: Plan, *, fetched_at: datetime, at: datetime) -> None:
    """Write a plan, in the caller's transaction; an empty plan writes nothing.

    Issues changed through the portal since `fetched_at` are newer than the fetched data, and are not
    overwritten.
    """
    if plan.entries:
        _fill(plan.entries)
        values: dict[str, Any] = {"upstream": upstream_id, "fetched_at": fetched_at, "at": at}
        with connection.cursor() as cursor:
            cursor.execute(_INSERT, values)
            cursor.execute(_UPDATE, values)
            cursor.execute("TRUNCATE monitoring_incoming_issue")
    if plan.tallies:
        _add(upstream_id, plan.tallies)


def _fill(entries: Iterable[Entry]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(INCOMING)
        with cursor.copy("COPY monitoring_incoming_issue FROM STDIN") as copy:
            for entry in entries:
                copy.write_row(_copied(entry))


def _copied(entry: Entry) -> tuple[Any, ...]:
    """Return the columns in table order, with times and JSON as text for PostgreSQL."""
    listed, issue = entry.listed, entry.listed.issue
    return (
        entry.id,
        entry.service_id,
        listed.issue_id,
        sanitize.line(issue.shortId or "", 100),
        sanitize.line(issue.project.slug, 200),
        sanitize.line(issue.title or "(no title)", 500),
        sanitize.line(issue.culprit or "", 500),
        sanitize.line(issue.level or "", 20).lower(),
        sanitize.line(listed.platform, 50),
        listed.status,
        sanitize.line(entry.substatus, 40),
        listed.count,
        listed.user_count,
        sanitize.line(listed.assigned_to, 200),
        sanitize.line(issue.permalink or "", 2000),
        _encoder.encode(listed.trend).decode(),
        _encoder.encode(listed.original()).decode(),
        f"\\x{listed.content_hash.hex()}",
        f"\\x{raw_hash(listed.raw).hex()}",
        listed.first_seen_at.isoformat(),
        listed.last_seen_at.isoformat(),
        entry.regressed_at and entry.regressed_at.isoformat(),
        "{" + ",".join(entry.steps) + "}",
    )


_STEPS = """
    INSERT INTO monitoring_errortransition (issue_id, service_id, kind, at, recorded_at, source, actor, text)
    SELECT written.id, i.service_id, step,
        CASE step WHEN 'new' THEN i.first_seen_at WHEN 'regressed' THEN i.last_seen_at ELSE %(at)s::timestamptz END,
        %(at)s, 'poll', '', CASE step WHEN 'assigned' THEN i.assigned_to ELSE '' END
    FROM written JOIN monitoring_incoming_issue i ON i.issue_id = written.issue_id CROSS JOIN unnest(i.steps) step
"""
_INSERT = f"""
WITH written AS (
    INSERT INTO monitoring_errorissue (upstream_id, issue_id, regressed_at, {_SAID})
    SELECT %(upstream)s, issue_id, regressed_at, {_SAID} FROM monitoring_incoming_issue WHERE id IS NULL
    ON CONFLICT (upstream_id, issue_id) DO NOTHING
    RETURNING id, issue_id
) {_STEPS}
"""  # noqa: S608 - both parts are constants above
_UPDATE = f"""
WITH written AS (
    UPDATE monitoring_errorissue e SET ({_SAID}) = ROW(
        i.service_id, i.short_id, i.project, i.title, i.culprit, i.level, i.platform, i.status, i.substatus,
        i.count, i.user_count, i.assigned_to, i.permalink, i.trend, i.raw, i.content_hash, i.raw_hash, i.first_seen_at,
        i.last_seen_at), regressed_at = coalesce(i.regressed_at, e.regressed_at), gone_at = NULL, missing_since = NULL
    FROM monitoring_incoming_issue i
    WHERE e.id = i.id AND (e.written_at IS NULL OR e.written_at < %(fetched_at)s)
    RETURNING e.id, e.issue_id
) {_STEPS}
"""  # noqa: S608 - both parts are constants above


def _add(upstream_id: int, tallies: Mapping[TallyKey, int]) -> None:
    """Add events to their hours; the count of an existing hour is increased."""
    rows = [(upstream_id, *key, events) for key, events in tallies.items()]
    with connection.cursor() as cursor:
        cursor.executemany(_TALLY, rows)


_TALLY = """
INSERT INTO monitoring_errortally (upstream_id, project, service_id, hour, events) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (hour, upstream_id, project, (coalesce(service_id, 0)))
DO UPDATE SET events = monitoring_errortally.events + excluded.events
"""
# Even in a complete list, old issues are missing once they leave Sentry's period, so request each of
# them at most once a day.
_EXPECTED = """
SELECT issue_id FROM monitoring_errorissue
WHERE upstream_id = %(upstream)s AND status <> 'resolved' AND gone_at IS NULL AND missing_since IS NULL
    AND (checked_at IS NULL OR checked_at < %(at)s - interval '1 day')
"""
_MISSING = """
UPDATE monitoring_errorissue SET missing_since = %(at)s
WHERE upstream_id = %(upstream)s AND issue_id = ANY(%(missing)s)
    AND NOT EXISTS (SELECT FROM monitoring_errortransition t WHERE t.issue_id = monitoring_errorissue.id
        AND t.kind = 'new' AND t.recorded_at > %(began)s)
"""


def mark_missing(upstream_id: int, seen: Collection[str], *, began: datetime, at: datetime) -> int:
    """Mark the open issues that were missing from the whole list, whose reading began at `began`."""
    values: dict[str, Any] = {"upstream": upstream_id, "began": began, "at": at}
    with connection.cursor() as cursor:
        cursor.execute(_EXPECTED, values)
        missing = {row[0] for row in cursor.fetchall()}.difference(seen)
        if not missing:
            return 0
        cursor.execute(_MISSING, {**values, "missing": list(missing)})
        return int(cursor.rowcount)


_GONE = """
WITH written AS (
    UPDATE monitoring_errorissue SET gone_at = %(at)s, missing_since = NULL, checked_at = %(at)s
    WHERE id = %(id)s AND gone_at IS NULL RETURNING id, service_id
)
INSERT INTO monitoring_errortransition (issue_id, service_id, kind, at, recorded_at, source, actor, text)
SELECT id, service_id, 'gone', %(at)s, %(at)s, 'poll', '', %(text)s FROM written
"""


def mark_gone(issue_pk: int, *, text: str, at: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_GONE, {"id": issue_pk, "text": text, "at": at})
