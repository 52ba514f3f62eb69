"""Runs due checks in parallel, in rounds of a few seconds, with one runner per portal at a time.

A round claims due checks, probes them in threads and writes the results as they arrive. It ends when
nothing is due, or after ROUND_SECONDS. While a target hangs, the round continues up to
MAX_ROUND_SECONDS, so that the target occupies one thread and not a worker process. Then the round stops
claiming, releases its lock to the next one, and waits for the remaining results. Because no timeout is
longer than a round may last, there are never more than two rounds at once.
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
# Key of the advisory lock in PostgreSQL.
LOCK = 0x706F7274616C01


# The running probes, and when each started.
Out = dict["Future[ProbeResult]", tuple[Check, float]]


def run_round(*, seconds: float = ROUND_SECONDS) -> int:
    """Run due checks for `seconds`; return the number of results written, 0 if another round is running."""
    out: Out = {}
    pool = ThreadPoolExecutor(MAX_AT_ONCE, thread_name_prefix="check")
    try:
        with locks.alone(LOCK) as is_alone:
            if not is_alone:
                return 0
            written = _claim_and_collect(pool, out, seconds=seconds)
        return written + _collect_rest(out)
    finally:
        # A thread that hangs in a DNS lookup cannot be stopped, so do not wait for it.
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
    """True when the time of the round is over; a hanging target prolongs it."""
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
    """Write the results that have arrived after `seconds`; an overdue one counts as a timeout."""
    began = time.monotonic()
    done, _ = wait(out, timeout=seconds, return_when=FIRST_COMPLETED)
    # Results arrive in bursts; writing them together costs a fixed number of statements.
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
    """Write results together; if that fails, write each alone, so that one check cannot block the others."""
    try:
        results.write(outcomes, at=timezone.now())
    except InterfaceError:
        raise  # the connection is lost, and the lock with it
    except Exception:
        log.exception("%d results could not be written together.", len(outcomes))
        for outcome in outcomes:
            try:
                results.write([outcome], at=timezone.now())
            except Exception:
                log.exception("The result of check %s could not be written.", outcome.check.pk)


def _is_overdue(asked: tuple[Check, float]) -> bool:
    """True when a thread has exceeded even its own timeout, as it can in a DNS lookup."""
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
    """The Prometheus of each PromQL check, read once per round, because threads must not use the database."""

    def __init__(self) -> None:
        self.default = default_prometheus()
        kind = Upstream.Kind.PROMETHEUS
        self.known = {row.pk: row for row in Upstream.objects.enabled().filter(kind=kind)}

    def of(self, check: Check) -> Upstream | None:
        return self.known.get(check.upstream_id) if check.upstream_id else self.default


def claim_due(*, at: datetime, limit: int) -> list[Check]:
    """Lease the checks that are due and return them; each is returned to only one caller.

    The next run stays on the check's fixed grid, so that slow answers do not make intervals drift. A check
    whose last run is in the future is due as well: the clock has been set back, and its grid starts again.
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
