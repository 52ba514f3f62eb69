"""Raises alerts for new and regressed errors, for the projects in an upstream's option `alert_projects`."""

from datetime import datetime

from alerts import services as alerts
from alerts.models import Alert
from monitoring.errors.models import ErrorIssue
from monitoring.errors.reconcile import Entry, Plan
from portal.core.models import Service, Upstream

ALERTNAME = "ApplicationError"
SEVERITIES = {"fatal": "critical", "error": "warning", "warning": "warning"}
ENDS = frozenset({"resolved", "ignored"})
LABELS = ("sentry", "project", "issue")


def update_alerts(upstream: Upstream, plan: Plan, *, old_until: datetime | None) -> None:
    """Raise and clear the alerts that follow from a plan.

    An issue that is new to the portal but began before `old_until` raises none. The alert of an issue that
    has ended is cleared even if `alert_projects` no longer contains its project.
    """
    wanted = frozenset(upstream.option("alert_projects", []))
    ended = [entry.listed for entry in plan.entries if ENDS & {*entry.steps}]
    for labels in _open_among(upstream, {listed.issue_id for listed in ended}):
        alerts.clear_alert(alertname=ALERTNAME, labels=labels)
    for entry in plan.entries:
        is_over = entry.listed.status != "unresolved" or ENDS & {*entry.steps}
        is_old = entry.id is None and old_until and entry.listed.first_seen_at <= old_until
        if not (is_over or is_old) and entry.listed.issue.project.slug in wanted:
            _raise(upstream, entry)


def _open_among(upstream: Upstream, issue_ids: set[str]) -> list[dict[str, str]]:
    """Return the labels of the open alerts about these issues; one query, none for no issues."""
    if not issue_ids:
        return []
    ours = {"sentry": upstream.name}
    rows = Alert.objects.open().filter(alertname=ALERTNAME, labels__contains=ours)
    found = rows.values_list("labels", flat=True)
    return [
        {name: labels.get(name, "") for name in LABELS}
        for labels in found
        if labels.get("issue") in issue_ids
    ]


def clear(issue: ErrorIssue, *, reason: str) -> None:
    """Clear the alert, if any, of an issue that was resolved, ignored or deleted."""
    labels = _labels(issue.upstream, issue.project, issue.issue_id)
    if Alert.objects.open().filter(alertname=ALERTNAME, labels__contains=labels).exists():
        alerts.clear_alert(alertname=ALERTNAME, labels=labels, reason=reason)


def _raise(upstream: Upstream, entry: Entry) -> None:
    word = next((step for step in entry.steps if step in ("new", "regressed")), "")
    if not word:
        return
    issue = entry.listed.issue
    alerts.raise_alert(
        alertname=ALERTNAME,
        labels=_labels(upstream, issue.project.slug, entry.listed.issue_id),
        severity=SEVERITIES.get((issue.level or "").lower(), "info"),
        annotations={
            "summary": f"{word.capitalize()} error in {issue.project.slug}: {issue.title}",
            "description": f"{issue.culprit or ''} {issue.permalink or ''}".strip(),
        },
        service=Service.objects.filter(pk=entry.service_id or 0).first(),
        at=entry.listed.last_seen_at,
    )


def _labels(upstream: Upstream, project: str, issue_id: str) -> dict[str, str]:
    return {"sentry": upstream.name, "project": project, "issue": issue_id}
