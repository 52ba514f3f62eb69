"""Writes the results of checks in one transaction: state, flips, hours, status of services, and alerts.

Results without a flip take a fixed number of statements, whatever their number.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection, transaction

from monitoring import status
from monitoring.checks import alerting
from monitoring.checks.flips import (
    DOWN,
    UNKNOWN,
    CheckState,
    FlipPolicy,
    NextState,
    ProbeResult,
    decide,
)
from monitoring.models import Check, StatusChange
from portal.core import sanitize

SENTENCE_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class Outcome:
    """A result, with the check as it was when the runner claimed it."""

    check: Check
    result: ProbeResult


@transaction.atomic
def write(outcomes: Sequence[Outcome], *, at: datetime) -> None:
    """Write the results, except those of checks that were deleted or claimed by another runner meanwhile."""
    next_states = {o.check.pk: _next_state(o, at=at) for o in outcomes}
    alive = _update_checks(outcomes, next_states, at=at)
    kept = [o for o in outcomes if o.check.pk in alive]
    _add_to_hours(kept, at=at)
    flipped = [o for o in kept if next_states[o.check.pk].flips]
    StatusChange.objects.bulk_create(
        StatusChange(
            service_id=o.check.service_id,
            check_row_id=o.check.pk,
            old_status=flip.old,
            new_status=flip.new,
            reason=sanitize.text(flip.reason, SENTENCE_LIMIT),
            at=flip.at,
        )
        for o in flipped
        for flip in next_states[o.check.pk].flips
    )
    _update_alerts(flipped, next_states, at=at)
    status.keep_fresh({o.check.service_id for o in kept}, at=at)
    status.update(
        {o.check.service_id for o in flipped}, at=at, blind_since=_gaps(flipped, next_states)
    )


def _update_alerts(
    flipped: Sequence[Outcome], next_states: dict[int, NextState], *, at: datetime
) -> None:
    """Raise and clear alerts for the checks as stored now: one may have been renamed or disabled meanwhile."""
    if not flipped:
        return
    now = Check.objects.select_related("service").in_bulk([o.check.pk for o in flipped])
    for outcome in flipped:
        pk = outcome.check.pk
        alerting.update_alert(now[pk], next_states[pk].status, outcome.result, at=at)


def _next_state(outcome: Outcome, *, at: datetime) -> NextState:
    check = outcome.check
    known = CheckState(check.status, check.since, check.pending_count, check.last_run_at)
    policy = FlipPolicy(
        check.failures_to_flip,
        check.successes_to_recover,
        timedelta(seconds=check.interval_seconds),
    )
    return decide(known, outcome.result, policy, at=at)


def _gaps(flipped: Sequence[Outcome], next_states: dict[int, NextState]) -> dict[int, datetime]:
    """Return, by service id, since when a check was not watched, for checks that had such a gap."""
    found: dict[int, datetime] = {}
    for outcome in flipped:
        first = next_states[outcome.check.pk].flips[0]
        if first.new == UNKNOWN and len(next_states[outcome.check.pk].flips) > 1:
            found[outcome.check.service_id] = first.at
    return found


def _update_checks(
    outcomes: Sequence[Outcome], next_states: dict[int, NextState], *, at: datetime
) -> set[int]:
    """Update the runner's columns and release the leases; return the ids whose lease was still ours.

    The new state was computed from the check as claimed. A runner that was delayed beyond its lease must
    not overwrite the state that a later runner has written.
    """
    ordered = [(o.check, next_states[o.check.pk], o.result) for o in outcomes]
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE monitoring_check c SET status = v.status, since = v.since, sentence = v.sentence,
                latency_seconds = v.latency, pending_count = v.pending, last_run_at = %(at)s,
                lease_until = NULL, certificate_ends_at = v.certificate_ends_at
            FROM unnest(%(ids)s::bigint[], %(status)s::text[], %(since)s::timestamptz[], %(sentence)s::text[],
                %(latency)s::float[], %(pending)s::int[], %(certificate)s::timestamptz[], %(lease)s::timestamptz[])
                AS v (id, status, since, sentence, latency, pending, certificate_ends_at, lease)
            WHERE c.id = v.id AND c.lease_until IS NOT DISTINCT FROM v.lease RETURNING c.id
            """,
            {
                "at": at,
                "ids": [check.pk for check, _, _ in ordered],
                "lease": [check.lease_until for check, _, _ in ordered],
                "status": [state.status for _, state, _ in ordered],
                "since": [state.since for _, state, _ in ordered],
                "sentence": [sanitize.text(a.sentence, SENTENCE_LIMIT) for _, _, a in ordered],
                "latency": [a.latency_seconds for _, _, a in ordered],
                "pending": [min(state.pending_count, 32_000) for _, state, _ in ordered],
                "certificate": [a.certificate_ends_at for _, _, a in ordered],
            },
        )
        return {row[0] for row in cursor.fetchall()}


def _add_to_hours(outcomes: Sequence[Outcome], *, at: datetime) -> None:
    """Add the results to the hourly statistics, without probes that could not be made."""
    probed = [(o.check.pk, o.result) for o in outcomes if o.result.status != UNKNOWN]
    if not probed:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO monitoring_checkhour (check_row_id, hour, runs, failures, latency_sum, latency_max)
            SELECT id, date_trunc('hour', %(at)s::timestamptz), 1, failed, latency, latency
            FROM unnest(%(ids)s::bigint[], %(failed)s::int[], %(latency)s::float[]) AS v (id, failed, latency)
            ON CONFLICT (check_row_id, hour) DO UPDATE SET runs = monitoring_checkhour.runs + 1,
                failures = monitoring_checkhour.failures + excluded.failures,
                latency_sum = monitoring_checkhour.latency_sum + excluded.latency_sum,
                latency_max = greatest(monitoring_checkhour.latency_max, excluded.latency_max)
            """,
            {
                "at": at,
                "ids": [pk for pk, _ in probed],
                "failed": [int(result.status == DOWN) for _, result in probed],
                "latency": [result.latency_seconds or 0.0 for _, result in probed],
            },
        )
