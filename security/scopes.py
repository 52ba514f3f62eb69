"""Decides who holds which scope: a token by its list, a person by the permissions of the account.

This must not import the REST framework: its settings import security.permissions, which imports this module.
"""

from typing import Any

from security.models import ApiToken, Scope
from security.roles import ADMINISTER, RESPOND

# The permission with which a person may do what a token needs a scope for.
PERMISSION_OF_SCOPE: dict[str, str] = {
    Scope.ALERTS_WRITE: "alerts.change_alert",
    Scope.MONITORING_WRITE: "core.change_upstream",
    Scope.AUDIT_READ: "audit.view_auditentry",
    Scope.AUDIT_WRITE: "audit.add_auditentry",
    Scope.SECURITY_WRITE: "security.add_apitoken",
    Scope.METRICS: "core.view_upstream",
}


# The parts of the roles whose write permissions are covered by each scope.
_COVERED = {
    Scope.ALERTS_WRITE: ((RESPOND, "alerts"),),
    Scope.MONITORING_WRITE: (
        (ADMINISTER, "core"), (ADMINISTER, "monitoring"), (ADMINISTER, "alerts"), (RESPOND, "monitoring"),
    ),
    Scope.SECURITY_WRITE: ((ADMINISTER, "security"),),
}  # fmt: skip


def covered_by(scope: str) -> set[str]:
    """Return the write permissions that a scope covers."""
    return {
        f"{app}.{code}"
        for part, app in _COVERED.get(Scope(scope), ())
        for code in part[app]
        if not code.startswith("view_")
    }


def holds(user: Any, scope: str) -> bool:
    """True when a person's permissions cover what a token needs `scope` for."""
    if user.is_superuser or scope == Scope.READ:
        return bool(user.is_active and user.is_staff)
    if scope == Scope.ADMIN:
        return False
    return bool(user.has_perm(PERMISSION_OF_SCOPE[scope]))


def grantable_scopes(user: Any, token: ApiToken | None = None) -> list[str]:
    """Return the scopes that the caller may give to a new token: never more than the caller has."""
    if token is not None:
        return [scope for scope in Scope.values if token.allows(scope)]
    return [
        scope for scope in Scope.values if holds(user, scope) and user.has_perms(covered_by(scope))
    ]
