"""Maps each action to ECS terms (pure): category, type and severity.

https://www.elastic.co/guide/en/ecs/current/ecs-category-field-values-reference.html
and, where one exists, to the term of OWASP's Application Logging Vocabulary:
https://cheatsheetseries.owasp.org/cheatsheets/Logging_Vocabulary_Cheat_Sheet.html
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Meaning:
    category: tuple[str, ...]
    type: tuple[str, ...]
    severity: int = 1
    kind: str = "event"


GROUPS: dict[str, tuple[str, ...]] = {
    "auth": ("authentication", "session"),
    "mfa": ("authentication",),
    "password": ("iam",),
    "user": ("iam",),
    "role": ("iam",),
    "token": ("iam",),
    "permission": ("iam",),
    "config": ("configuration",),
    "secret": ("configuration",),
    "alert": ("configuration",),
    "silence": ("configuration",),
    "error": ("configuration",),
    "channel": ("configuration",),
    "notification": ("configuration",),
    "check": ("configuration",),
    "rule": ("configuration",),
    "deploy": ("configuration",),
    "search": ("configuration",),
    "object": ("database",),
    "data": ("database",),
    "audit": ("configuration",),
    "ratelimit": ("intrusion_detection",),
    "detection": ("intrusion_detection",),
    "block": ("intrusion_detection", "network"),
    "allow": ("configuration",),
    "input": ("web",),
    "system": ("host",),
}
_VERBS: dict[str, tuple[str, ...]] = {
    "created": ("creation",),
    "added": ("creation",),
    "granted": ("creation",),
    "enrolled": ("creation",),
    "recorded": ("info",),
    "run": ("info",),
    "updated": ("change",),
    "changed": ("change",),
    "deleted": ("deletion",),
    "removed": ("deletion",),
    "forgotten": ("deletion",),
    "pruned": ("deletion",),
    "revoked": ("deletion",),
    "denied": ("denied",),
    "rejected": ("denied",),
    "exceeded": ("denied",),
    "enforced": ("denied",),
    "failed": ("info",),
    "login_succeeded": ("start",),
    "login_failed": ("start",),
    "logout": ("end",),
}
_SEVERITY: dict[str, int] = {
    "auth.login_failed": 3,
    "auth.login_locked": 4,
    "auth.reauth_failed": 3,
    "mfa.failed": 3,
    "mfa.removed": 3,
    "mfa.reset_by_admin": 4,
    "mfa.recovery_code_used": 3,
    "permission.denied": 3,
    "role.granted": 3,
    "role.extended": 3,
    "token.rejected": 3,
    "ratelimit.exceeded": 3,
    "token.new_client": 3,
    "detection.raised": 4,
    "detection.confirmed": 4,
    "block.added": 3,
    "block.removed": 3,
    "block.enforced": 3,
    "allow.added": 3,
    "allow.removed": 3,
    "input.rejected": 2,
    "input.suspicious": 3,
    "user.deleted": 3,
}

OWASP: dict[str, str] = {
    "auth.login_succeeded": "authn_login_success",
    "auth.login_failed": "authn_login_fail",
    "mfa.failed": "authn_login_fail",
    "auth.session_created": "session_created",
    "password.changed": "authn_password_change",
    "password.change_failed": "authn_password_change_fail",
    "token.created": "authn_token_created",
    "token.revoked": "authn_token_revoked",
    "permission.denied": "authz_fail",
    "role.granted": "authz_change",
    "role.revoked": "authz_change",
    "role.updated": "privilege_permissions_changed",
    "role.extended": "privilege_permissions_changed",
    "config.changed": "authz_admin",
    "ratelimit.exceeded": "excess_rate_limit_exceeded",
    "input.rejected": "input_validation_fail",
    "input.suspicious": "malicious_extraneous",
    "user.created": "user_created",
    "user.updated": "user_updated",
    "user.deleted": "user_deleted",
    "audit.exported": "sensitive_read",
    "audit.pruned": "sensitive_delete",
}


def meaning(action: str) -> Meaning:
    """Return the ECS terms for `object.verb_past`; an unknown object counts as a change in a database."""
    group, _, verb = action.partition(".")
    category = GROUPS.get(group, ("database",))
    kinds = _VERBS.get(verb) or _VERBS.get(verb.rpartition("_")[2]) or ("change",)
    kind = "alert" if action == "detection.raised" else "event"
    return Meaning(category, kinds, _SEVERITY.get(action, 1), kind)
