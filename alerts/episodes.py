"""Reads and writes episodes in bulk: a fixed number of statements, whatever their number.

Rows travel through the temporary table of alerts.incoming, and are merged from there.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection
from psycopg.types.json import Jsonb

from alerts import incoming
from alerts.incoming import Row
from alerts.models import Alert, State, TransitionKind
from alerts.plans import Absence, Closed, Known, Resolution


@dataclass(frozen=True, slots=True)
class Step:
    """A transition that is about to be written."""

    alert_id: int
    kind: str
    at: datetime
    text: str = ""
    data: dict[str, Any] = field(default_factory=dict)


def load_known(upstream_id: int, *, with_labels: bool = False) -> dict[str, Known]:
    """Return the open episodes by fingerprint; labels are most of the bytes and rarely needed, so optional."""
    labels = "labels" if with_labels else "NULL"
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT id, fingerprint, content_hash, state, starts_at, missing_since, last_listed_at,"  # noqa: S608
            f" refreshed_at, expires_at, {labels} FROM alerts_alert"
            " WHERE upstream_id = %s AND NOT state = 'resolved'",
            [upstream_id],
        )
        return {row[1]: Known(*(*row[:9], _labels(row[9]))) for row in cursor.fetchall()}


def _labels(value: Any) -> dict[str, str]:
    return dict(json.loads(value)) if value else {}  # a plain cursor returns jsonb as text


def load_closed(
    upstream_id: int, fingerprints: Sequence[str], *, since: datetime
) -> dict[str, Closed]:
    """Return, by fingerprint, the last episode that was closed after `since` (our clock)."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT ON (fingerprint) id, fingerprint, closed_at, closed_by = 'poll' FROM alerts_alert"
            " WHERE upstream_id = %s AND fingerprint = ANY(%s) AND closed_at > %s AND state = 'resolved'"
            " ORDER BY fingerprint, closed_at DESC",
            [upstream_id, list(fingerprints), since],
        )
        return {row[1]: Closed(*row) for row in cursor.fetchall()}


def insert(upstream_id: int, rows: Sequence[Row], *, source: str, at: datetime) -> int:
    """Insert new episodes with their first transitions; return how many were new.

    A fingerprint that already has an open episode is skipped, because another worker was first. Rows
    with `ends_at` are episodes that had ended before the portal learned of them.
    """
    if not rows:
        return 0
    incoming.fill(rows)
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, {"upstream": upstream_id, "source": source, "at": at})
        inserted = int(cursor.fetchone()[0])
        cursor.execute("TRUNCATE alerts_incoming")
    return inserted


_INSERT = """
WITH new AS (
    INSERT INTO alerts_alert (upstream_id, fingerprint, alertname, severity, service_id, state, labels,
        annotations, receivers, generator_url, content_hash, starts_at, ends_at, resolved_after,
        resolved_before, closed_at, closed_by, first_seen_at, silenced_by, inhibited_by, refreshed_at,
        expires_at, acknowledged_by)
    SELECT %(upstream)s, fingerprint, alertname, severity, service_id, state, labels,
        annotations, receivers, generator_url, content_hash, starts_at, ends_at, ends_at,
        ends_at, CASE WHEN ends_at IS NOT NULL THEN %(at)s::timestamptz END,
        CASE WHEN ends_at IS NOT NULL THEN %(source)s ELSE '' END, %(at)s,
        silenced_by, inhibited_by, refreshed_at, expires_at, ''
    FROM alerts_incoming
    ON CONFLICT DO NOTHING
    RETURNING id, state, starts_at, ends_at
), steps AS (
    INSERT INTO alerts_transition (alert_id, kind, at, recorded_at, source, actor, text, data)
    SELECT id, 'opened', starts_at, %(at)s, %(source)s, '', '', '{}'::jsonb FROM new
    UNION ALL
    SELECT id, state, coalesce(ends_at, %(at)s), %(at)s, %(source)s, '', '', '{}'::jsonb FROM new
    WHERE state <> 'firing'
)
SELECT count(*) FROM new
"""


def update(rows: Sequence[Row]) -> None:
    """Overwrite the upstream's data of listed episodes, but keep the earliest start."""
    if not rows:
        return
    incoming.fill(rows)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE alerts_alert a SET alertname = i.alertname, severity = i.severity,
                service_id = i.service_id, state = i.state, labels = i.labels, annotations = i.annotations,
                receivers = i.receivers, generator_url = i.generator_url, content_hash = i.content_hash,
                starts_at = least(a.starts_at, i.starts_at), silenced_by = i.silenced_by,
                inhibited_by = i.inhibited_by, refreshed_at = i.refreshed_at, expires_at = i.expires_at,
                missing_since = NULL, last_listed_at = NULL, ends_at = NULL, resolved_after = NULL,
                resolved_before = NULL, closed_at = NULL, closed_by = ''
            FROM alerts_incoming i WHERE a.id = i.id
            """
        )
        cursor.execute("TRUNCATE alerts_incoming")


def mark_returned(ids: Sequence[int]) -> None:
    if ids:
        Alert.objects.filter(id__in=ids).update(missing_since=None, last_listed_at=None)


def mark_missing(absences: Sequence[Absence], *, at: datetime) -> None:
    """Record the first poll (`at`, by the upstream's clock) that did not list these episodes."""
    if not absences:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE alerts_alert a SET missing_since = %s, last_listed_at = v.last_seen, expires_at = v.expires"
            " FROM unnest(%s::bigint[], %s::timestamptz[], %s::timestamptz[]) AS v (id, last_seen, expires)"
            " WHERE a.id = v.id AND a.missing_since IS NULL",
            [
                at,
                [a.id for a in absences],
                [a.last_seen for a in absences],
                [a.expires_at for a in absences],
            ],
        )


def close(resolutions: Sequence[Resolution], *, source: str, at: datetime) -> int:
    """Close open episodes, with the bounds of their end and a transition; return how many were still open."""
    if not resolutions:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH closed AS (
                UPDATE alerts_alert a SET state = 'resolved', ends_at = greatest(v.before, a.starts_at),
                    resolved_after = v.after, resolved_before = v.before, closed_at = %(at)s,
                    closed_by = %(source)s, last_listed_at = coalesce(a.last_listed_at, v.after)
                FROM unnest(%(ids)s::bigint[], %(after)s::timestamptz[], %(before)s::timestamptz[])
                    AS v (id, after, before)
                WHERE a.id = v.id AND NOT a.state = 'resolved'
                RETURNING a.id, a.ends_at, a.resolved_after, a.resolved_before
            ), steps AS (
                INSERT INTO alerts_transition (alert_id, kind, at, recorded_at, source, actor, text, data)
                SELECT id, 'resolved', ends_at, %(at)s, %(source)s, '', '',
                    jsonb_build_object('after', resolved_after, 'before', resolved_before) FROM closed
            )
            SELECT count(*) FROM closed
            """,
            {
                "at": at,
                "source": source,
                "ids": [r.id for r in resolutions],
                "after": [r.after for r in resolutions],
                "before": [r.before for r in resolutions],
            },
        )
        return int(cursor.fetchone()[0])


def add_steps(steps: Iterable[Step], *, source: str, at: datetime) -> None:
    """Append transitions by COPY."""
    columns = "alert_id, kind, at, recorded_at, source, actor, text, data"
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY alerts_transition ({columns}) FROM STDIN") as copy,
    ):
        for step in steps:
            copy.write_row(
                (step.alert_id, step.kind, step.at, at, source, "", step.text, Jsonb(step.data))
            )


def step_of_state(known_state: str, new_state: str) -> str | None:
    """Return the transition between two open states, None when there is none."""
    if known_state == new_state:
        return None
    return (
        TransitionKind.SUPPRESSED if new_state == State.SUPPRESSED else TransitionKind.UNSUPPRESSED
    )


def make_exact(ends: Sequence[tuple[int, datetime]], *, source: str) -> None:
    """Replace the bounds of episodes that were closed by absence with the exact end that is now known."""
    if not ends:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE alerts_alert a SET ends_at = v.ends, resolved_after = v.ends, resolved_before = v.ends,"
            " closed_by = %s FROM unnest(%s::bigint[], %s::timestamptz[]) AS v (id, ends)"
            " WHERE a.id = v.id AND a.state = 'resolved'",
            [source, [number for number, _ in ends], [end for _, end in ends]],
        )
