"""Authenticates API requests: by a bearer token, or an admin session with a verified factor."""

from dataclasses import replace
from typing import Any, NoReturn

from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed, Throttled
from rest_framework.request import Request

from audit import services as audit
from portal.core import crypto, request_context
from security import authlog, limits, token_clients, tokens

# Tokens cannot be guessed; the limit keeps attempts from flooding the audit trail. Only failures
# count, so that a client with an expired token does not lock out others at the same address.
BAD_TOKEN_RULE = "30/minute"  # noqa: S105
REFUSED = "The token is not accepted: unknown, expired, revoked, or not allowed from this address."


class TokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer dop_pat_…`."""

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="DevOps Portal"'

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        scheme, _, written = str(request.META.get("HTTP_AUTHORIZATION", "")).partition(" ")
        if scheme.lower() != "bearer":
            return None
        written = written.strip()
        address = request_context.current().source_ip
        now = timezone.now()
        try:
            token = tokens.check(written, address=address, at=now)
        except tokens.RejectedError as error:
            _refuse(error, crypto.fingerprint("token", written))
        fp = crypto.fingerprint("token", written)
        actor = request_context.Actor(
            "token", str(token.user.pk), token.user.get_username(), (f"token:{token.name}",)
        )
        request_context.update(
            actor=actor, auth_method="token", token_fp=fp, auth_factors=("token",), session_fp="",
        )  # fmt: skip
        token_clients.note(token, at=now)  # before touch() overwrites the place of last use
        tokens.touch(token, address=address, at=now)
        return token.user, token


def _refuse(error: tokens.RejectedError, token_fp: str) -> NoReturn:
    """Count and audit an invalid token. Raises Throttled or AuthenticationFailed."""
    context = request_context.current()
    try:
        limits.count(BAD_TOKEN_RULE, "bad-token", limits.network_key(context.source_ip))
    except limits.LimitedError as limited:
        raise Throttled(limited.wait) from error
    authlog.failure("bad_token")
    facts = replace(context, token_fp=token_fp, auth_method="token")
    with request_context.use(facts):
        audit.record("token.rejected", target=error.token, outcome="failure", reason=str(error))
    raise AuthenticationFailed(REFUSED) from error


class VerifiedSessionAuthentication(SessionAuthentication):
    """The admin's session cookie, with CSRF protection, and only with a verified second factor."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        found = super().authenticate(request)
        if found is None or not found[0].is_staff or not found[0].is_verified():
            return None
        return found


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "security.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "dop_pat_…"}


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "security.authentication.VerifiedSessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": "portal_session"}
