"""Writes the answers of checks: memory, flips, hours, services' statuses and alerts, in one transaction.

A fixed number of statements for any number of answers that flip nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection, transaction

from monitoring import status
from monitoring.checks import alerting
from monitoring.checks.flips import DOWN, UNKNOWN, Answer, Memory, Patience, Step, decide
from monitoring.models import Check, StatusChange
from portal.core import sanitize

SENTENCE_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class Outcome:
    """An answer, with the check as it was when it was claimed."""

    check: Check
    answer: Answer


@transaction.atomic
def write(outcomes: Sequence[Outcome], *, at: datetime) -> None:
    """Remember the answers; of a check that was deleted, or that another runner has by now, none."""
    steps = {o.check.pk: _step(o, at=at) for o in outcomes}
    alive = _remember(outcomes, steps, at=at)
    kept = [o for o in outcomes if o.check.pk in alive]
    _count(kept, at=at)
    flipped = [o for o in kept if steps[o.check.pk].flips]
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
        for flip in steps[o.check.pk].flips
    )
    _tell(flipped, steps, at=at)
    status.keep_fresh({o.check.service_id for o in kept}, at=at)
    status.settle({o.check.service_id for o in flipped}, at=at, blind_since=_gaps(flipped, steps))


def _tell(flipped: Sequence[Outcome], steps: dict[int, Step], *, at: datetime) -> None:
    """Raise and end alerts, of the checks as they are now: one may be renamed or off since it was claimed."""
    if not flipped:
        return
    now = Check.objects.select_related("service").in_bulk([o.check.pk for o in flipped])
    for outcome in flipped:
        pk = outcome.check.pk
        alerting.follow(now[pk], steps[pk].status, outcome.answer, at=at)


def _step(outcome: Outcome, *, at: datetime) -> Step:
    check = outcome.check
    known = Memory(check.status, check.since, check.pending_count, check.last_run_at)
    patience = Patience(
        check.failures_to_flip,
        check.successes_to_recover,
        timedelta(seconds=check.interval_seconds),
    )
    return decide(known, outcome.answer, patience, at=at)


def _gaps(flipped: Sequence[Outcome], steps: dict[int, Step]) -> dict[int, datetime]:
    """Return, by service, since when nobody had looked, where that was so."""
    found: dict[int, datetime] = {}
    for outcome in flipped:
        first = steps[outcome.check.pk].flips[0]
        if first.new == UNKNOWN and len(steps[outcome.check.pk].flips) > 1:
            found[outcome.check.service_id] = first.at
    return found


def _remember(outcomes: Sequence[Outcome], steps: dict[int, Step], *, at: datetime) -> set[int]:
    """Update the runner's columns and give the leases back; return the ids that were still leased so.

    A step follows from what the check was when it was claimed. Who was held up beyond the lease would
    write it over the steps of the runner that came after.
    """
    ordered = [(o.check, steps[o.check.pk], o.answer) for o in outcomes]
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
                "status": [step.status for _, step, _ in ordered],
                "since": [step.since for _, step, _ in ordered],
                "sentence": [sanitize.text(a.sentence, SENTENCE_LIMIT) for _, _, a in ordered],
                "latency": [a.latency_seconds for _, _, a in ordered],
                "pending": [min(step.pending_count, 32_000) for _, step, _ in ordered],
                "certificate": [a.certificate_ends_at for _, _, a in ordered],
            },
        )
        return {row[0] for row in cursor.fetchall()}


def _count(outcomes: Sequence[Outcome], *, at: datetime) -> None:
    """Add the answers to their hours. What could not be asked is no answer."""
    answered = [(o.check.pk, o.answer) for o in outcomes if o.answer.status != UNKNOWN]
    if not answered:
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
                "ids": [pk for pk, _ in answered],
                "failed": [int(answer.status == DOWN) for _, answer in answered],
                "latency": [answer.latency_seconds or 0.0 for _, answer in answered],
            },
        )
