"""The pages of enrolment: one-time link, password, authenticator app, recovery codes, and secrets shown once."""

import time
from typing import Any

import segno
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.safestring import mark_safe
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from audit import services as audit
from portal.core import crypto
from security import (
    enrolment,
    factors,
    limits,
    one_time_secrets,
    pages,
    sessions,
    signin,
    stepup,
    totp,
)
from security.enrolment import Candidate, EnrolmentError
from security.forms import CodeForm, NewPasswordForm
from security.limits import LimitedError
from security.verification import is_verified

_LINK, _SEED = "portal_enrol_link", "portal_enrol_seed"


@never_cache
def open_link(request: HttpRequest, token: str) -> HttpResponse:
    """Move the token from the URL to the session, as Django's password reset does; this does not use up the link."""
    link = enrolment.usable_link(token)
    if link is None:
        return pages.render(request, "link_unusable", status=410, title="Link not valid")
    request.session[_LINK] = {"id": link.pk, "password": ""}
    return redirect("security:choose_password")


@sensitive_post_parameters()
@sensitive_variables()
@never_cache
@csrf_protect
def choose_password(request: HttpRequest) -> HttpResponse:
    """Check the new password; it is set only when the app is enrolled."""
    kept = request.session.get(_LINK) or {}
    link = enrolment.usable_link_by_id(kept.get("id", 0))
    if link is None:
        return pages.render(request, "link_unusable", status=410, title="Link not valid")
    form = NewPasswordForm(link.user, request.POST if request.method == "POST" else None)
    if not form.is_valid():
        facts: dict[str, Any] = {"title": "Choose a password", "form": form, "account": link.user}
        return pages.render(request, "choose_password", **facts)
    password = make_password(form.cleaned_data["password"])
    request.session[_LINK] = {"id": link.pk, "password": password}
    return redirect("security:enrol")


@sensitive_post_parameters()
@sensitive_variables()
@never_cache
@csrf_protect
def enrol(request: HttpRequest) -> HttpResponse:
    """Show the QR code, check one code, and sign the account in as verified."""
    candidate = _candidate(request)
    if candidate is None:
        return redirect("admin:login")
    if candidate.may_replace and not candidate.link_id and not stepup.is_recent(request):
        return stepup.challenge(request)
    seed = _pending_seed(request, candidate.user)
    form = CodeForm(request.POST if request.method == "POST" else None)
    refused = ""
    if form.is_valid():
        try:
            account = limits.account_key(candidate.user.get_username())
            limits.spend(limits.ENROLMENT, account, request)
            return _finish(request, candidate, seed, form.cleaned_data["code"])
        except LimitedError as error:
            return pages.too_many(request, error)
        except EnrolmentError as error:
            refused = str(error)
            form = CodeForm()
    return pages.render(
        request, "enrol", title="Set up your second factor", form=form, refused=refused,
        account=candidate.user, replaces=candidate.may_replace and not candidate.link_id,
        **_picture(seed, candidate.user),
    )  # fmt: skip


def _candidate(request: HttpRequest) -> Candidate | None:
    """Return who may enrol here: the owner of a link, a fresh account, or a verified one."""
    kept = request.session.get(_LINK) or {}
    link = enrolment.usable_link_by_id(kept.get("id", 0)) if kept.get("password") else None
    if link is not None:
        return Candidate(link.user, True, link.pk, kept["password"])
    user: Any = request.user
    if is_verified(request) and user.is_staff:
        return Candidate(user, may_replace=True)
    until = request.session.get(signin.ENROL_UNTIL, 0)
    if user.is_authenticated and user.is_staff and time.time() < until:
        return Candidate(user)
    return None


def _pending_seed(request: HttpRequest, user: User) -> str:
    """Return the seed that this session is enrolling; created on first use, and stored encrypted."""
    kept = request.session.get(_SEED) or {}
    if kept.get("user") != user.pk or time.time() - kept.get("at", 0) > signin.ENROL_SECONDS:
        cipher = crypto.encrypt(totp.new_seed())
        kept = {"user": user.pk, "at": time.time(), "cipher": cipher}
        request.session[_SEED] = kept
    return crypto.decrypt(kept["cipher"])


def _picture(seed: str, user: User) -> dict[str, Any]:
    address = totp.uri(seed, account=user.get_username(), issuer=settings.OTP_TOTP_ISSUER)
    drawn = segno.make(address, error="m").svg_inline(border=4, light="#fff", omitsize=True)
    spaced = " ".join(seed[start : start + 4] for start in range(0, len(seed), 4))
    # The SVG contains only path data from our own library.
    return {"qr": mark_safe(drawn), "secret": spaced, "otpauth": address}  # noqa: S308


def _finish(request: HttpRequest, candidate: Candidate, seed: str, code: str) -> HttpResponse:
    user = candidate.user
    replaces = candidate.may_replace and not candidate.link_id
    done = enrolment.complete(candidate, seed, code, keep=request.session.session_key)
    if replaces:
        sessions.renew_id(request)
    else:
        user.refresh_from_db()
        sessions.begin(request, user, factors=("password", "otp"))
        audit.record("auth.login_succeeded", target=user, data={"factor": "otp"})
    sessions.verify(request, done.device, factors=("password", "otp"))
    for key in (_LINK, _SEED, signin.ENROL_UNTIL):
        request.session.pop(key, None)
    one_time_secrets.put(request.session, recovery_codes=done.recovery_codes)
    messages.success(request, "Your authenticator app is set up.")
    response = redirect("security:recovery_codes")
    limits.remember_browser(request, response, user.get_username())
    return response


@never_cache
@csrf_protect
def recovery_codes(request: HttpRequest) -> HttpResponse:
    """Show new codes once; afterwards say how many are left, and create new ones on request."""
    if not is_verified(request):
        return redirect("admin:login")
    if request.method == "POST":
        return _new_recovery_codes(request)
    shown = one_time_secrets.take(request.session, "recovery_codes")
    return pages.render(
        request, "recovery_codes", title="Recovery codes", codes=shown.get("recovery_codes", []),
        left=factors.unused_recovery_codes(request.user.pk or 0),
        has_app=factors.has_factor(request.user.pk or 0),
    )  # fmt: skip


@stepup.require_recent_auth()
def _new_recovery_codes(request: HttpRequest) -> HttpResponse:
    codes = factors.replace_recovery_codes(request.user.pk or 0)
    audit.record("mfa.recovery_codes_regenerated", target=request.user)
    one_time_secrets.put(request.session, recovery_codes=codes)
    return redirect("security:recovery_codes")


@never_cache
def shown_once(request: HttpRequest) -> HttpResponse:
    """Show a new token or enrolment link once, to its creator."""
    if not is_verified(request):
        return redirect("admin:login")
    shown = one_time_secrets.take(request.session, "secret")
    facts = {"title": shown.get("title", "Already shown"), **shown}
    return pages.render(request, "shown_once", **facts)
