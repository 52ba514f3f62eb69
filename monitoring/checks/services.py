"""Changes to checks by people, for the admin and the API."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from audit import services as audit
from monitoring import status
from monitoring.checks import alerting, results
from monitoring.checks.flips import DEGRADED, DOWN, ProbeResult
from monitoring.checks.probes import probe
from monitoring.checks.results import Outcome
from monitoring.models import Check, CheckHour
from monitoring.panels import default_prometheus

KEEP_HOURS = timedelta(days=400)


@transaction.atomic
def save(check: Check, *, changed: Iterable[str] = ()) -> Check:
    """Store a new check, or the `changed` fields of an existing one; model tracking audits the diff.

    Only those columns are written, because the runner may be writing the others at the same time.
    """
    if check._state.adding:
        check.save()
    else:
        # Locked, so that a result is written either before this change or for the changed check.
        rows = Check.objects.select_related("service").select_for_update(of=("self",))
        before = rows.get(pk=check.pk)
        fields = sorted({*changed} - {"id"})
        if fields:
            check.save(update_fields=fields)
        _move_alert(before, check)
        if before.service_id != check.service_id:
            status.update_now(before.service_id)
    status.update_now(check.service_id)
    return check


def _move_alert(before: Check, now: Check) -> None:
    """Update the alert to the check's names and severity; a disabled check has no alert."""
    silent = not now.enabled or not now.raises_alert
    renamed = alerting.labels_of(before) != alerting.labels_of(now)
    if silent or renamed:
        reason = (
            "The check was renamed." if renamed and not silent else "The check was switched off."
        )
        alerting.end(before, reason=reason)
    at = timezone.now()
    # After a longer pause, the next results flip the status again, which raises the alert.
    returned = not before.enabled and at <= before.fresh_until
    woken = not before.raises_alert or renamed or returned or before.severity != now.severity
    if woken and not silent and before.status in (DOWN, DEGRADED):
        alerting.raise_for(now, before.status, before.sentence, at=at)


@transaction.atomic
def delete(check: Check) -> None:
    service_id = check.service_id
    # Before the alert, in the same order as the runner, to avoid a deadlock.
    Check.objects.select_for_update().filter(pk=check.pk).first()
    alerting.end(check, reason="The check was deleted.")
    check.delete()
    status.update_now(service_id)


def run_now(check: Check, *, actor: Any) -> ProbeResult:
    """Run the check once now and record the result like any other; the lease of a running worker is kept."""
    prometheus = check.upstream or default_prometheus()
    result = probe(check, prometheus)
    now = timezone.now()
    free = Check.objects.filter(pk=check.pk, enabled=True)
    if free.exclude(lease_until__gt=now).update(lease_until=now + timedelta(seconds=5)):
        fresh = Check.objects.select_related("service").get(pk=check.pk)
        results.write([Outcome(fresh, result)], at=timezone.now())
    audit.record("check.run", actor=actor, target=check, data={"answer": result.status})
    return result


def forget_old_hours(*, at: datetime) -> int:
    """Delete hours beyond the retention period of a little more than a year."""
    return CheckHour.objects.filter(hour__lt=at - KEEP_HOURS).delete()[0]
