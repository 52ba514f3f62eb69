"""Converts audit entries into the events that the rules evaluate."""

from typing import Any

from audit.models import AuditEntry
from security.rules.clients import family
from security.rules.events import Event, Kind

_KINDS: dict[str, Kind] = {
    "auth.login_failed": Kind.LOGIN_FAILED,
    "auth.login_succeeded": Kind.LOGIN_SUCCEEDED,
    "auth.reauth_failed": Kind.CODE_FAILED,
    "mfa.failed": Kind.CODE_FAILED,
    "token.new_client": Kind.TOKEN_CLIENT,
    "token.rejected": Kind.REFUSED,
    "permission.denied": Kind.REFUSED,
    "input.rejected": Kind.REFUSED,
    "input.suspicious": Kind.SUSPICIOUS,
    "data.exported": Kind.EXPORTED,
    "audit.exported": Kind.EXPORTED,
    "ratelimit.exceeded": Kind.LOGIN_LIMITED,
}
ACTIONS: tuple[str, ...] = tuple(_KINDS)
SIGN_IN_LIMITS = ("password-", "code-", "step-up-", "enrolment-")
# After a failed first step the code was not checked; the failure is counted at that step.
NO_CODE = "first_step_failed"


def event_of(entry: AuditEntry) -> Event | None:
    """Return the event of an entry, or None when no rule needs it."""
    kind = _KINDS.get(entry.action)
    data: dict[str, Any] = entry.data if isinstance(entry.data, dict) else {}
    if kind is None or "ingested_by" in data or not _counts(entry, kind):
        return None  # reported by another application, about its accounts and not ours
    account, name = _account(entry, kind, data)
    return Event(
        id=entry.pk,
        at=entry.recorded_at.timestamp(),
        kind=kind,
        address=str(entry.source_ip or ""),
        account=account,
        name=name,
        token=entry.target_id if kind is Kind.TOKEN_CLIENT else "",
        client=family(entry.user_agent),
        status=entry.http_status or (401 if entry.action == "token.rejected" else 0),
        path=entry.url_path,
        signal=str(data.get("signal", ""))[:50],
        number=_number(data),
        service=_service(data),
    )


def _counts(entry: AuditEntry, kind: Kind) -> bool:
    if kind is Kind.LOGIN_LIMITED:
        return entry.target_id.startswith(SIGN_IN_LIMITS)
    return entry.reason != NO_CODE


def _account(entry: AuditEntry, kind: Kind, data: dict[str, Any]) -> tuple[str, str]:
    """Return the key and the name of the account that the entry is about."""
    if kind is Kind.TOKEN_CLIENT:
        return "", entry.target_name
    if kind is Kind.EXPORTED:
        return (f"user:{entry.actor_id}" if entry.actor_id else ""), entry.actor_name
    if entry.target_type == "auth.user" and entry.target_id:
        return f"user:{entry.target_id}", entry.target_name
    fingerprint = str(data.get("name_fingerprint", ""))
    return (f"name:{fingerprint}" if fingerprint else ""), ""


def _service(data: dict[str, Any]) -> str:
    """Return the slug that the entry names; whether that service exists is checked when a flag is stored."""
    slug = data.get("service")
    return slug[:100] if isinstance(slug, str) else ""


def _number(data: dict[str, Any]) -> float:
    """Return the number of rows exported, or the seconds since a token was used elsewhere."""
    value = data.get("rows", data.get("seconds_since_other_use", 0))
    return float(value) if isinstance(value, int | float) and abs(value) < 1e15 else 0.0
