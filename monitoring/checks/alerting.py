"""Raises an alert for a failing check, and clears it when the check recovers."""

from datetime import datetime

from alerts.services import clear_alert, raise_alert
from monitoring.checks.flips import DEGRADED, DOWN, UP, ProbeResult
from monitoring.models import Check

ALERTNAME = "CheckFailing"


def labels_of(check: Check) -> dict[str, str]:
    return {"check": check.name, "service": check.service.slug, "kind": check.kind}


def update_alert(check: Check, status: str, result: ProbeResult, *, at: datetime) -> None:
    """Raise, change or clear the alert of `check` after a flip to `status`.

    Unknown changes nothing: a probe that could not be made does not prove a recovery.
    """
    if status == UP:
        clear_alert(alertname=ALERTNAME, labels=labels_of(check), at=at)
    elif status in (DOWN, DEGRADED) and check.enabled and check.raises_alert:
        raise_for(check, status, result.sentence, at=at)


def raise_for(check: Check, status: str, sentence: str, *, at: datetime) -> None:
    service = check.service
    words = "fails" if status == DOWN else "is degraded"
    said = {"summary": f"{service.name}: {check.name} {words}", "description": sentence}
    if service.runbook_url:
        said["runbook_url"] = service.runbook_url
    raise_alert(
        alertname=ALERTNAME,
        labels=labels_of(check),
        severity=check.severity if status == DOWN else "warning",
        annotations=said,
        service=service,
        at=at,
    )


def end(check: Check, *, reason: str) -> None:
    """Clear the alert of a check that is disabled or deleted."""
    clear_alert(alertname=ALERTNAME, labels=labels_of(check), reason=reason)
