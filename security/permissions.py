"""Decides which scope a request needs, and whether its token or its user's permissions grant it."""

from typing import TYPE_CHECKING, Any

from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from audit import services as audit
from audit.services import Target
from security.models import ApiToken, Scope
from security.scopes import holds

if TYPE_CHECKING:  # DRF imports this module while it imports its own views
    from rest_framework.views import APIView


class ScopedPermission(BasePermission):
    """Views declare `read_scope` (default `read`) and `write_scope`; without one, writing is refused.

    For people, a view may name the permission that the admin requires instead of a scope: by action in
    `person_permissions`, for all writes in `write_permission`, and for reading anything but the list of a
    model in `person_reads`. Without `read_permission`, neither a person nor their tokens may read,
    whatever the scope.
    """

    message = "This token or account is not allowed to do this; it lacks the {kind} {lacked!r}."

    def has_permission(self, request: Request, view: "APIView") -> bool:
        if not request.user or not request.user.is_authenticated:
            return False
        wanted = self.permission_to_read(request, view)
        if wanted and not request.user.has_perm(wanted):
            return self.refuse(request, wanted)
        if not request.auth and (named := self.permission_of_person(request, view)):
            may = request.user.is_staff and request.user.has_perm(named)
            return may or self.refuse(request, named)
        scope = self.scope_needed(request, view)
        return self.allows(request, scope) or self.refuse(request, scope)

    def refuse(self, request: Request, lacked: str) -> bool:
        kind = "scope" if lacked in Scope.values else "permission"
        self.message = ScopedPermission.message.format(kind=kind, lacked=lacked)
        audit.record(
            "permission.denied",
            outcome="failure",
            reason=f"lacks {kind} {lacked}",
            target=Target("api", str(request.method), request.path),
            http_status=403,
            data=audit.service_data(audit.service_of(request.auth)),
        )
        return False

    @staticmethod
    def scope_needed(request: Request, view: "APIView") -> str:
        if request.method in SAFE_METHODS:
            return str(getattr(view, "read_scope", Scope.READ))
        return str(getattr(view, "write_scope", Scope.ADMIN))

    @staticmethod
    def permission_to_read(request: Request, view: "APIView") -> str:
        """Return the permission that reading needs in addition to the scope; empty if none.

        With a session, people see what the admin shows them: the rows of a model need its view permission.
        A token sees what its scopes allow.
        """
        if request.method not in SAFE_METHODS:
            return ""
        named = str(getattr(view, "read_permission", ""))
        model = getattr(getattr(view, "queryset", None), "model", None)
        if named or request.auth:
            return named
        if model is None or "view" not in model._meta.default_permissions:
            return str(getattr(view, "person_reads", ""))
        return f"{model._meta.app_label}.view_{model._meta.model_name}"

    @staticmethod
    def permission_of_person(request: Request, view: "APIView") -> str:
        """Return the permission that a person needs instead of the scope; empty if none."""
        by_action = getattr(view, "person_permissions", {})
        named = by_action.get(getattr(view, "action", None), "")
        if not named and request.method not in SAFE_METHODS:
            named = getattr(view, "write_permission", "")
        return str(named)

    @staticmethod
    def allows(request: Request, scope: str) -> bool:
        token: Any = request.auth
        if isinstance(token, ApiToken):
            return token.allows(scope)
        return holds(request.user, scope)
