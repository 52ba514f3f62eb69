"""Starts and ends sessions, and limits their lifetime: 30 minutes idle, 12 hours in total (OWASP ASVS 7.3)."""

import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth import login, logout
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django_otp import login as otp_login
from django_otp.models import Device

from audit import services as audit
from portal.core import crypto, request_context
from security.models import Session
from security.verification import is_verified

STARTED, SEEN = "portal_started", "portal_seen"
VERIFIED_AT, FACTORS = "portal_verified_at", "portal_amr"
# The last use is stored at most this often, so that a page that polls does not write each time.
STORE_EVERY_SECONDS = 60
BACKEND = "django.contrib.auth.backends.ModelBackend"


def begin(request: HttpRequest, user: User, *, factors: tuple[str, ...]) -> None:
    """Sign `user` in under a new session id; the lifetime of the session starts now."""
    before = request.session.session_key
    login(request, user, backend=BACKEND)
    if request.session.session_key == before:  # Django keeps the id for the same user
        request.session.cycle_key()
    now = int(time.time())
    request.session[STARTED] = request.session[SEEN] = now
    request.session[FACTORS] = [*factors]
    request.session.set_expiry(settings.SESSION_ABSOLUTE_SECONDS)
    _tell_context(request, user, factors)


def verify(request: HttpRequest, device: Device, *, factors: tuple[str, ...]) -> None:
    """Mark the session as verified by `device` now, for sign-in and for step-up."""
    otp_login(request, device)
    request.session[VERIFIED_AT] = int(time.time())
    request.session[FACTORS] = [*factors]
    _tell_context(request, request.user, factors)


def renew_id(request: HttpRequest) -> None:
    """Give the session a new id; the old one becomes invalid at once (ASVS 7.2.4)."""
    request.session.cycle_key()


def seconds_since_verified(request: HttpRequest) -> float | None:
    """Return how long ago a factor was last verified in this session; None if it was not."""
    at = request.session.get(VERIFIED_AT)
    if not is_verified(request) or not isinstance(at, int):
        return None
    return max(0.0, time.time() - at)


def end_others(user_id: int, *, keep: str | None, reason: str, actor: Any = None) -> int:
    """End all sessions of a user except `keep`, on the server; return how many were ended."""
    live = Session.objects.filter(user_id=user_id, expire_date__gt=timezone.now())
    doomed = live.exclude(session_key=keep or "")
    ended, _ = doomed.delete()
    if ended:
        target = audit.Target("auth.user", str(user_id))
        audit.record(
            "auth.session_revoked", actor=actor, target=target, reason=reason, data={"ended": ended}
        )
    return ended


def clear_expired() -> int:
    """Delete the rows of sessions that have ended; return how many there were."""
    deleted, _ = Session.objects.filter(expire_date__lt=timezone.now()).delete()
    return deleted


def end(request: HttpRequest, *, reason: str = "") -> None:
    """Sign out by deleting the session's row, so that a copied cookie is useless."""
    if request.user.is_authenticated:
        audit.record("auth.logout", actor=request.user, target=request.user, reason=reason)
    logout(request)


class SessionLifetimeMiddleware:
    """Ends sessions that are idle or too old, and sets the actor of the request context.

    A request without the session cookie is passed on: it costs no query, and its response does not
    vary by cookie.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if settings.SESSION_COOKIE_NAME in request.COOKIES and request.user.is_authenticated:
            self._enforce(request)
            if request.user.is_authenticated:
                known = request.session.get(FACTORS, ["password"])
                factors = tuple(known) if is_verified(request) else ("password",)
                _tell_context(request, request.user, factors)
        return self.get_response(request)

    @staticmethod
    def _enforce(request: HttpRequest) -> None:
        now = int(time.time())
        started = request.session.setdefault(STARTED, now)
        seen = request.session.setdefault(SEEN, now)
        if now - seen > settings.SESSION_IDLE_SECONDS:
            end(request, reason="inactive for too long")
        elif now - started > settings.SESSION_ABSOLUTE_SECONDS:
            end(request, reason="maximum lifetime reached")
        elif now - seen > STORE_EVERY_SECONDS and not _is_background(request):
            request.session[SEEN] = now


def _is_background(request: HttpRequest) -> bool:
    """True for requests that a page sends by itself: an open dashboard does not count as activity."""
    return request.headers.get("X-Requested-With") == "fetch"


def _tell_context(request: HttpRequest, user: Any, factors: tuple[str, ...]) -> None:
    roles = ("superuser",) if user.is_superuser else ()
    request_context.update(
        actor=request_context.Actor("user", str(user.pk), user.get_username(), roles),
        auth_method="session",
        auth_factors=factors,
        session_fp=crypto.fingerprint("session", request.session.session_key or ""),
    )
