"""Changes to errors by people, for the admin and the API: resolve, ignore, reopen, assign.

The change is sent to Sentry first. Only what Sentry confirms is written here, by compare-and-swap, with
a transition and an audit entry. A refusal is audited as a failure and raised.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from audit import services as audit
from monitoring.errors import alerting
from monitoring.errors.models import (
    ErrorIssue,
    ErrorTransition,
    IssueSource,
    IssueStatus,
    IssueTransitionKind,
)
from monitoring.errors.payloads import Changed, status_of
from monitoring.sentry import Sentry
from portal.core import sanitize
from portal.core.http import Fault, UpstreamError

TEXT_LIMIT = 1000
# One version omits the field from its response, a later one fails with HTTP 500.
NO_ASSIGNEES = "GlitchTip cannot assign issues."
# The status that each kind of action leads to. The kinds are those of transitions and audit actions.
STATUS_OF: dict[str, str] = {
    IssueTransitionKind.RESOLVED: IssueStatus.RESOLVED,
    IssueTransitionKind.IGNORED: IssueStatus.IGNORED,
    IssueTransitionKind.REOPENED: IssueStatus.UNRESOLVED,
}


@dataclass(frozen=True, slots=True)
class Result:
    """How many errors an action changed, and why it left others unchanged."""

    changed: int
    unchanged: int = 0
    why: str = ""

    def sentence(self, verb: str) -> str:
        """Return "3 errors resolved, 1 already so."."""
        said = f"{self.changed} error{'' if self.changed == 1 else 's'} {verb}"
        return f"{said}, {self.unchanged} {self.why}." if self.unchanged else f"{said}."


def resolve(issues: Sequence[ErrorIssue], *, actor: Any, text: str = "") -> Result:
    return _set_status(issues, IssueTransitionKind.RESOLVED, actor=actor, text=text)


def ignore(issues: Sequence[ErrorIssue], *, actor: Any, text: str = "") -> Result:
    return _set_status(issues, IssueTransitionKind.IGNORED, actor=actor, text=text)


def reopen(issues: Sequence[ErrorIssue], *, actor: Any, text: str = "") -> Result:
    return _set_status(issues, IssueTransitionKind.REOPENED, actor=actor, text=text)


def _set_status(issues: Sequence[ErrorIssue], kind: str, *, actor: Any, text: str) -> Result:
    """Change the issues that Sentry still has and whose status differs. Raises UpstreamError."""
    status, changed = STATUS_OF[kind], 0
    for issue in issues:
        if issue.status == status or issue.gone_at is not None:
            continue
        answer = _ask(issue, kind, {"status": status}, actor=actor, text=text)
        said = status_of(answer.status or status)
        if said != status:
            sentence = f"{issue.upstream} answered that {issue} is now {said}, not {status}. Look at it there."
            raise _refused(issue, kind, UpstreamError(Fault.REJECTED, sentence), actor, text)
        fields = {"status": status, "substatus": sanitize.line(answer.substatus or "", 40)}
        changed += _write(issue, kind, fields, actor=actor, text=text)
        if status != IssueStatus.UNRESOLVED:
            alerting.clear(issue, reason=f"{kind.capitalize()} by {audit.actor_of(actor).name}.")
    return Result(
        changed, len(issues) - changed, "unchanged: already in that state, or gone from Sentry"
    )


def assign(issues: Sequence[ErrorIssue], *, to: str, actor: Any, text: str = "") -> Result:
    """Assign to an e-mail address, user name, `user:ID` or `team:ID` of Sentry; empty unassigns.

    Raises ValidationError for an invalid name, UpstreamError when Sentry refuses.
    """
    name = to.strip()
    if len(name) > 200 or not name.isprintable():
        raise ValidationError(
            {
                "to": "Enter an e-mail address, a user name, user:ID or team:ID that exists in Sentry."
            }
        )
    kind = IssueTransitionKind.ASSIGNED if name else IssueTransitionKind.UNASSIGNED
    changed = 0
    for issue in issues:
        if issue.gone_at is not None or (not name and not issue.assigned_to):
            continue
        answer = _ask(issue, kind, {"assignedTo": name}, actor=actor, text=text, hint=NO_ASSIGNEES)
        if answer.assignedTo is msgspec.UNSET or bool(answer.assignedTo) != bool(name):
            sentence = (
                f"{issue.upstream} accepted the request but did not assign {issue}. {NO_ASSIGNEES}"
                " In Sentry, check that the person or team belongs to the project."
            )
            raise _refused(issue, kind, UpstreamError(Fault.REJECTED, sentence), actor, text)
        said = answer.assignedTo.text if answer.assignedTo else ""
        fields = {"assigned_to": sanitize.line(said, 200)}
        changed += _write(issue, kind, fields, actor=actor, text=text)
    return Result(
        changed, len(issues) - changed, "unchanged: already in that state, or gone from Sentry"
    )


def _ask(
    issue: ErrorIssue, kind: str, body: Mapping[str, Any], *, actor: Any, text: str, hint: str = ""
) -> Changed:
    """Change an issue on its server; `hint` says what an internal error of that server may mean."""
    try:
        with Sentry(issue.upstream) as client:
            return client.change(issue.issue_id, body)
    except UpstreamError as error:
        if hint and error.fault == Fault.SERVER_ERROR:
            error = UpstreamError(error.fault, f"{error} {hint}", status=error.status)
        raise _refused(issue, kind, error, actor, text) from error


def _refused(
    issue: ErrorIssue, kind: str, error: UpstreamError, actor: Any, text: str
) -> UpstreamError:
    audit.record(
        f"error.{kind}",
        actor=actor,
        target=issue,
        outcome="failure",
        reason=str(error),
        data={"text": text} if text else None,
    )
    return error


@transaction.atomic
def _write(
    issue: ErrorIssue, kind: str, fields: Mapping[str, str], *, actor: Any, text: str
) -> bool:
    """Write the confirmed change; False if a poll or another user has already written it.

    The empty hash makes the next poll update the other columns; `written_at` keeps a poll that is already
    running from undoing the change.
    """
    now = timezone.now()
    point = dict(list(fields.items())[:1])  # the column that the change is about
    rows = ErrorIssue.objects.filter(pk=issue.pk).exclude(**point)
    changed = bool(rows.update(**fields, written_at=now, content_hash=b"", raw_hash=b""))
    if changed:
        ErrorTransition.objects.create(
            issue=issue,
            service_id=issue.service_id,
            kind=kind,
            at=now,
            source=IssueSource.USER,
            actor=audit.actor_of(actor).name,
            text=sanitize.text(text or fields.get("assigned_to", ""), TEXT_LIMIT),
        )
    for name, value in fields.items():
        setattr(issue, name, value)
    audit.record(f"error.{kind}", actor=actor, target=issue, reason=text, data=dict(fields))
    return changed
