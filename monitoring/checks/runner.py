"""Runs the checks that are due, many at once, for a few seconds; one runner per portal at a time.

A round claims due checks, asks them in threads and writes their answers as they come. It ends when
nothing is due, or after ROUND_SECONDS. While a target hangs the round goes on, up to
MAX_ROUND_SECONDS: that target holds one thread, not a process of the worker. Then the round stops
claiming, gives its lock to the next one, and waits for what is still out; as no timeout is longer
than a round may last, there are never more than two.
"""

import logging
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import datetime, timedelta

from django.db import InterfaceError
from django.utils import timezone

from monitoring.checks import results
from monitoring.checks.flips import DOWN, UNKNOWN, ProbeResult
from monitoring.checks.probes import probe
from monitoring.checks.results import Outcome
from monitoring.models import Check
from monitoring.panels import default_prometheus
from portal.core import locks
from portal.core.models import Upstream

log = logging.getLogger(__name__)
ROUND_SECONDS = 4.0
MAX_ROUND_SECONDS = 32.0
HANGS_AFTER_SECONDS = 1.0
LOOK_SECONDS = 0.25
MAX_AT_ONCE = 128
LEASE_MARGIN = timedelta(seconds=30)
# Names the lock in PostgreSQL.
LOCK = 0x706F7274616C01


# What is being asked, and since when.
Out = dict["Future[ProbeResult]", tuple[Check, float]]


def run_round(*, seconds: float = ROUND_SECONDS) -> int:
    """Run due checks for `seconds`; return how many answers were written, 0 when another runs."""
    out: Out = {}
    pool = ThreadPoolExecutor(MAX_AT_ONCE, thread_name_prefix="check")
    try:
        with locks.alone(LOCK) as is_alone:
            if not is_alone:
                return 0
            written = _claim_and_collect(pool, out, seconds=seconds)
        return written + _collect_rest(out)
    finally:
        # A thread that hangs in a name look-up cannot be stopped, and is not waited for.
        pool.shutdown(wait=False, cancel_futures=True)


def _claim_and_collect(pool: ThreadPoolExecutor, out: Out, *, seconds: float) -> int:
    written, servers, began = 0, _Servers(), time.monotonic()
    while not _is_over(out, time.monotonic() - began, seconds):
        room = MAX_AT_ONCE - len(out)
        due = claim_due(at=timezone.now(), limit=room) if room > 0 else []
        if not (due or out):
            break  # the next tick is at most a second away
        for check in due:
            out[pool.submit(probe, check, servers.of(check))] = (check, time.monotonic())
        written += _collect(out, seconds=LOOK_SECONDS)
    return written


def _is_over(out: Out, lasted: float, seconds: float) -> bool:
    """True when the round has had its time; a target that hangs prolongs it."""
    if lasted < seconds:
        return False
    oldest = min((asked_at for _, asked_at in out.values()), default=None)
    hangs = oldest is not None and time.monotonic() - oldest > HANGS_AFTER_SECONDS
    return not hangs or lasted >= max(seconds, MAX_ROUND_SECONDS)


def _collect_rest(out: Out) -> int:
    written = 0
    while out:
        written += _collect(out, seconds=LOOK_SECONDS)
    return written


def _collect(out: Out, *, seconds: float) -> int:
    """Write the answers that are there after `seconds`; one that is overdue is taken as a timeout."""
    began = time.monotonic()
    done, _ = wait(out, timeout=seconds, return_when=FIRST_COMPLETED)
    # Answers come in swarms: writing them together costs a fixed number of statements.
    if done and (rest := seconds - (time.monotonic() - began)) > 0:
        done, _ = wait(out, timeout=min(rest, 0.05))
    overdue = [future for future in out if future not in done and _is_overdue(out[future])]
    outcomes = []
    for future in [*done, *overdue]:
        check, _ = out.pop(future)
        outcomes.append(Outcome(check, _answer(future, check)))
    if outcomes:
        _write(outcomes)
    return len(outcomes)


def _write(outcomes: list[Outcome]) -> None:
    """Write answers together; when that fails, each alone, so that one check cannot stop the others."""
    try:
        results.write(outcomes, at=timezone.now())
    except InterfaceError:
        raise  # the connection is gone, and the lock with it
    except Exception:
        log.exception("%d results could not be written together.", len(outcomes))
        for outcome in outcomes:
            try:
                results.write([outcome], at=timezone.now())
            except Exception:
                log.exception("The result of check %s could not be written.", outcome.check.pk)


def _is_overdue(asked: tuple[Check, float]) -> bool:
    """True when a thread did not even keep its own timeout, as in a name look-up."""
    check, at = asked
    return time.monotonic() > at + check.timeout_seconds + 2


def _answer(future: "Future[ProbeResult]", check: Check) -> ProbeResult:
    if not future.done():
        return ProbeResult(DOWN, f"It did not answer within {check.timeout_seconds:g} seconds.")
    try:
        return future.result()
    except Exception:
        log.exception("The check %s failed inside the portal.", check.pk)
        return ProbeResult(
            UNKNOWN, "The portal failed while running the check. See its log for details."
        )


class _Servers:
    """The Prometheus of each PromQL check, read once per round: threads touch no database."""

    def __init__(self) -> None:
        self.default = default_prometheus()
        kind = Upstream.Kind.PROMETHEUS
        self.known = {row.pk: row for row in Upstream.objects.enabled().filter(kind=kind)}

    def of(self, check: Check) -> Upstream | None:
        return self.known.get(check.upstream_id) if check.upstream_id else self.default


def claim_due(*, at: datetime, limit: int) -> list[Check]:
    """Return checks that are due, each given to one caller, and lease them.

    The next run stays on the check's own grid, so that intervals do not drift with the answers. A check
    that ran in the future is due as well: the clock has been set back, and its grid begins anew.
    """
    return list(
        Check.objects.raw(
            """
            UPDATE monitoring_check SET lease_until = %(at)s + %(margin)s + timeout_seconds * interval '1 second',
                next_run_at = least(next_run_at, %(at)s) + interval_seconds * interval '1 second'
                    * greatest(1, ceil(extract(epoch FROM %(at)s - next_run_at) / interval_seconds))
            WHERE id IN (
                SELECT id FROM monitoring_check
                WHERE enabled AND (next_run_at <= %(at)s OR (last_run_at > %(at)s + interval '1 minute'
                        AND next_run_at > %(at)s + (interval_seconds + 60) * interval '1 second'))
                    AND (lease_until IS NULL OR lease_until < %(at)s)
                ORDER BY next_run_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
            ) RETURNING *
            """,
            {"at": at, "margin": LEASE_MARGIN, "limit": limit},
        )
    )
