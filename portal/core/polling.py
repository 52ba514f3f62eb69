"""Schedules the polls of upstreams, runs each under a lease, and records the result in the row.

A tick claims due rows by advancing `next_run_at`; the task then takes a lease. So an upstream is never
polled twice at the same time, and a task that the broker loses costs only one interval.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from celery.exceptions import SoftTimeLimitExceeded
from django.db import connection
from django.db.models import F, Q
from django.db.models.functions import Greatest
from django.utils import timezone

from portal.core import sanitize
from portal.core.connect import DEFAULT_TIMEOUT_SECONDS
from portal.core.models import Upstream
from portal.core.upstream_errors import Fault, UpstreamError

log = logging.getLogger(__name__)
LEASE_MARGIN = timedelta(seconds=30)
TOO_SLOW = (
    "Its answers together took too long, so the poll was given up. Check its load, or lower the option"
    " timeout_seconds, so that single requests are given up sooner."
)
KILLED = (
    "No poll has succeeded yet, and the last one left no result: its worker was killed, or lost the database."
    " Check the worker's log and its memory limit."
)


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a poller: a line for the log, and values for the upstream's row."""

    summary: str
    skew_seconds: float | None = None
    warning: str = ""
    settling: str = ""
    observed: dict[str, Any] = field(default_factory=dict)
    not_before: datetime | None = None  # the server asked not to be polled before this time


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one poll ended; `error` is empty if it succeeded, `skipped` is True if another worker is polling."""

    name: str
    seconds: float = 0.0
    summary: str = ""
    warning: str = ""
    error: str = ""
    skipped: bool = False


class LostLeaseError(Exception):
    """Another worker has taken over because this poll was delayed for too long; its data is out of date."""


Poller = Callable[[Upstream], Report]


def claim_due(*, at: datetime, kinds: Sequence[str], limit: int = 100) -> list[int]:
    """Return the ids of the due upstreams of `kinds`; each is returned to only one caller.

    An upstream whose last poll lies in the future is due as well: the clock has been set back, and
    without this rule nothing would be polled until it had caught up.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE core_upstream SET next_run_at = %(at)s + interval_seconds * interval '1 second'
            WHERE id IN (
                SELECT id FROM core_upstream
                WHERE enabled AND kind = ANY(%(kinds)s) AND (next_run_at <= %(at)s
                    OR (attempted_at > %(at)s + interval '1 minute'
                        AND next_run_at > %(at)s + (interval_seconds + 60) * interval '1 second'))
                    AND (lease_until IS NULL OR lease_until < %(at)s)
                ORDER BY next_run_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
            ) RETURNING id
            """,
            {"at": at, "limit": limit, "kinds": [str(kind) for kind in kinds]},
        )
        return [int(row[0]) for row in cursor.fetchall()]


def run(upstream_id: int, poller: Poller) -> Outcome:
    """Poll one upstream under its lease, and record the result in its row."""
    upstream = _begin(upstream_id)
    if upstream is None:
        return Outcome(name=str(upstream_id), skipped=True)
    began = time.monotonic()
    try:
        report = poller(upstream)
    except LostLeaseError:
        log.warning(
            "Another worker is polling %s, because this one was delayed for too long.",
            upstream.name,
        )
        return Outcome(upstream.name, time.monotonic() - began, skipped=True)
    except SoftTimeLimitExceeded:
        outcome = Outcome(upstream.name, time.monotonic() - began, error=TOO_SLOW)
        _failed(upstream, outcome, fault=Fault.TIMEOUT)
    except UpstreamError as error:
        outcome = Outcome(upstream.name, time.monotonic() - began, error=str(error))
        _failed(upstream, outcome, fault=error.fault, not_before=error.retry_at)
    except Exception as error:  # whatever broke, the row must show that polling fails
        log.exception("Polling %s failed inside the portal.", upstream.name)
        sentence = (
            f"The portal failed while polling it ({type(error).__name__}). See its log for details."
        )
        outcome = Outcome(upstream.name, time.monotonic() - began, error=sentence)
        _failed(upstream, outcome, fault=Fault.MALFORMED)
    else:
        seconds = time.monotonic() - began
        said = " ".join(filter(None, (report.warning, _slow(upstream, seconds))))
        outcome = Outcome(upstream.name, seconds, report.summary, said)
        _succeeded(upstream, outcome, report)
    return outcome


def _begin(upstream_id: int) -> Upstream | None:
    """Take the lease and return the row; None when it is disabled or already being polled.

    An expired lease was never released, so its worker was killed. If no poll has succeeded yet, the row
    must say so, because it would otherwise look as if the first poll were still running.
    """
    rows = Upstream.objects.raw(
        """
        UPDATE core_upstream SET attempted_at = %(now)s,
            lease_until = %(now)s + %(margin)s
                + coalesce((options ->> 'timeout_seconds')::float, %(timeout)s) * interval '1 second',
            error = CASE WHEN lease_until < %(now)s AND succeeded_at IS NULL AND error = ''
                THEN %(killed)s ELSE error END,
            error_since = CASE WHEN lease_until < %(now)s AND succeeded_at IS NULL AND error = ''
                THEN attempted_at ELSE error_since END
        WHERE id = %(id)s AND enabled AND (lease_until IS NULL OR lease_until < %(now)s) RETURNING *
        """,
        {
            "id": upstream_id,
            "now": timezone.now(),
            "margin": LEASE_MARGIN,
            "timeout": DEFAULT_TIMEOUT_SECONDS,
            "killed": KILLED,
        },
    )
    return next(iter(rows), None)


def hold(upstream: Upstream) -> None:
    """Extend the lease so that it covers one more request. Raises LostLeaseError when it is lost.

    A lease covers only one request, so that it expires soon after its worker is killed. A poll with
    several requests calls this before each of them, and before it writes.
    """
    now = timezone.now()
    timeout = float(upstream.option("timeout_seconds", DEFAULT_TIMEOUT_SECONDS))
    until = now + LEASE_MARGIN + timedelta(seconds=timeout)
    if upstream.lease_until is None or until - upstream.lease_until < LEASE_MARGIN / 2:
        return  # polled by hand, without a lease; or enough time is left
    mine = Upstream.objects.filter(pk=upstream.pk, lease_until=upstream.lease_until)
    if not mine.update(lease_until=until):
        raise LostLeaseError(upstream.name)
    upstream.lease_until = until


def _release(
    upstream: Upstream, outcome: Outcome, *, not_before: datetime | None = None, **fields: Any
) -> None:
    """Write the result in one statement. After a slow poll, the upstream rests for as long as the poll took."""
    rest = timezone.now() + timedelta(seconds=outcome.seconds if outcome.seconds > 1 else 0)
    rest = max(rest, not_before) if not_before else rest
    must_rest = outcome.seconds > 1 or not_before is not None
    # Only the holder of the lease may write: another worker may have taken over.
    Upstream.objects.filter(pk=upstream.pk, lease_until=upstream.lease_until).update(
        lease_until=None,
        duration_seconds=round(outcome.seconds, 3),
        next_run_at=Greatest(F("next_run_at"), rest) if must_rest else F("next_run_at"),
        **fields,
    )


def _succeeded(upstream: Upstream, outcome: Outcome, report: Report) -> None:
    now = timezone.now()
    settling_since = (upstream.settling_since or now) if report.settling else None
    _release(
        upstream,
        outcome,
        succeeded_at=now,
        success_streak_since=streak_since(upstream, at=now),
        error="",
        error_since=None,
        warning=sanitize.text(outcome.warning, 1000),
        clock_skew_seconds=report.skew_seconds,
        settling_since=settling_since,
        settling_reason=report.settling,
        observed=report.observed,
        not_before=report.not_before,
    )
    log.info("Polled %s in %.3f s: %s.", upstream.name, outcome.seconds, outcome.summary)


def _slow(upstream: Upstream, seconds: float) -> str:
    """Return a warning when a poll took longer than the interval, because it is then polled less often."""
    if seconds <= upstream.interval_seconds:
        return ""
    return (
        f"It is slow: the last poll took {seconds:.0f} s, longer than its interval of"
        f" {upstream.interval_seconds} s, so it is polled less often. Check its load, or raise the interval."
    )


def _failed(
    upstream: Upstream, outcome: Outcome, *, fault: Fault, not_before: datetime | None = None
) -> None:
    sentence = sanitize.text(outcome.error, 1000)
    since = upstream.error_since if upstream.error else None
    _release(
        upstream,
        outcome,
        error=sentence,
        error_since=since or timezone.now(),
        success_streak_since=None,
        not_before=not_before,
    )
    log.warning("Polling %s failed (%s): %s", upstream.name, fault.value, sentence)


def streak_since(upstream: Upstream, *, at: datetime) -> datetime:
    """Return since when polls have succeeded without a gap longer than `stale_after`."""
    unbroken = (
        upstream.succeeded_at is not None and at - upstream.succeeded_at <= upstream.stale_after
    )
    return upstream.success_streak_since if unbroken and upstream.success_streak_since else at


def named(name: str | None) -> list[Upstream]:
    """Return the enabled upstreams to poll by hand: all, or only the one called `name`."""
    wanted = Q(name=name) if name else Q()
    return list(Upstream.objects.enabled().filter(wanted).order_by("name"))
