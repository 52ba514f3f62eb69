"""Converts action names to phrases for people (pure). The trail itself stores the names."""

_PHRASES: dict[str, str] = {
    "audit.exported": "Audit trail exported",
    "audit.prune_withheld": "Audit trail kept past its retention",
    "audit.pruned": "Audit trail pruned",
    "auth.reauth_failed": "Fresh code refused",
    "auth.reauth_succeeded": "Fresh code accepted",
    "integration.test_failed": "Connection test failed",
    "mfa.failed": "Code refused",
    "mfa.recovery_code_used": "Recovery code used",
    "mfa.recovery_codes_regenerated": "Recovery codes regenerated",
    "mfa.reset_by_admin": "Second factor reset by an administrator",
    "mfa.verified": "Code accepted",
    "system.demo_seeded": "Demonstration data seeded",
}
_SUBJECTS: dict[str, str] = {
    "allow": "allow-list entry",
    "auth": "",
    "config": "configuration",
    "detection": "flag",
    "mfa": "second factor",
    "ratelimit": "rate limit",
    "rule": "alert rules",
    "search": "saved search",
}
# Actions whose names already express a failure need no "failed" appended.
_UNHAPPY = (
    "failed",
    "denied",
    "rejected",
    "exceeded",
    "locked",
    "enforced",
    "withheld",
    "cancelled",
    "used",
)


def phrase(action: str, *, noun: str = "", failed: bool = False) -> str:
    """Return "Alert acknowledged" for `alert.acknowledged`; `noun` names the object of `object.updated`."""
    group, _, verb = action.partition(".")
    subject = noun if noun and group == "object" else _SUBJECTS.get(group, group)
    words = f"{subject} {verb}".replace("_", " ").replace(".", " ").strip()
    said = _PHRASES.get(action) or words[:1].upper() + words[1:]
    return f"{said} (failed)" if failed and not action.endswith(_UNHAPPY) else said
