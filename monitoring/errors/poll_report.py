"""Describes a poll of a Sentry: a summary for the log, and a warning for the upstream's page."""

from collections import Counter
from typing import Any

from monitoring.errors import bounds
from monitoring.errors.bounds import Bounds
from monitoring.errors.models import ErrorIssue, ErrorSync, IssueStatus

COUNTED = ("new", "changed", "regressed", "resolved", "ignored", "reopened", "missing", "gone")


def summary(found: Counter[str], pages: int) -> str:
    parts = [f"{found['read']} issues on {pages} pages"]
    return ", ".join(parts + [f"{found[word]} {word}" for word in COUNTED if found[word]])


def warning(state: ErrorSync, found: Counter[str], spent: Bounds) -> str:
    """Return what staff should know even though the poll succeeded; empty if nothing."""
    said = []
    if found["bad"]:
        said.append(f"{found['bad']} issues could not be read and were left out.")
    if found["left_out"] or found["endless"]:
        said.append(
            f"It lists more than {bounds.MOST_KEPT:,} issues, the limit for one Sentry; further new ones are left out."
            ' List the relevant projects in the option "projects", or check whether the server repeats issues.'
        )
    elif spent.is_full:
        said.append(
            f"{spent.issues:,} issues on {spent.pages:,} pages were read, the limit of one poll; the next one"
            " continues there."
        )
    if spent.pause_until is not None:
        until = f"{spent.pause_until:%H:%M:%S} UTC"
        said.append(f"Its rate limit is used up; the portal continues after {until}.")
    if state.full_completed_at is None:
        known = ErrorIssue.objects.filter(upstream_id=state.upstream_id).count()
        said.append(f"The first full synchronisation is still running; {known:,} issues so far.")
    return " ".join(said)


def observed(state: ErrorSync, organization: str, pages: int) -> dict[str, Any]:
    rows = ErrorIssue.objects.filter(upstream_id=state.upstream_id, gone_at__isnull=True)
    return {
        "organization": organization,
        "unresolved": rows.filter(status=IssueStatus.UNRESOLVED).count(),
        "pages": pages,
        "whole_list_read_at": state.full_completed_at and state.full_completed_at.isoformat(),
    }
