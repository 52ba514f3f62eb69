"""Session lifetimes: 30 minutes idle, 12 hours in all (OWASP ASVS 7.3)."""

import time
from collections.abc import Callable

from django.conf import settings
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse

from portal.core import crypto, request_context
from security.verification import is_verified

STARTED, SEEN = "portal_started", "portal_seen"
# The last use is stored at most this often, so that a page that polls costs no write each time.
STORE_EVERY_SECONDS = 60


class SessionLifetimeMiddleware:
    """Ends sessions that are idle or old, and tells the request context who is asking."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.session.session_key and request.user.is_authenticated:
            self._enforce(request)
        if request.user.is_authenticated:
            verified = is_verified(request)
            roles = ("superuser",) if request.user.is_superuser else ()
            request_context.update(
                actor=request_context.Actor(
                    "user", str(request.user.pk), request.user.get_username(), roles
                ),
                auth_method="session",
                auth_factors=("password", "otp") if verified else ("password",),
                session_fp=crypto.fingerprint("session", request.session.session_key or ""),
            )
        return self.get_response(request)

    @staticmethod
    def _enforce(request: HttpRequest) -> None:
        now = int(time.time())
        started = request.session.setdefault(STARTED, now)
        seen = request.session.setdefault(SEEN, now)
        if (
            now - seen > settings.SESSION_IDLE_SECONDS
            or now - started > settings.SESSION_ABSOLUTE_SECONDS
        ):
            logout(request)
        elif now - seen > STORE_EVERY_SECONDS:
            request.session[SEEN] = now
