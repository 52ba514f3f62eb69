"""The sign-in pages: password, code, recovery code, sign-out, step-up, password change."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import redirect
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from audit import services as audit
from security import authlog, factors, limits, pages, sessions, signin
from security.forms import CodeForm, PasswordForm, RecoveryForm
from security.limits import LimitedError
from security.stepup import require_recent_auth
from security.verification import is_verified

CODE_REFUSED = "The code is not right, or it was used before. Wait for the next code and enter it."


@sensitive_post_parameters()
@sensitive_variables()
@never_cache
@csrf_protect
def login(request: HttpRequest) -> HttpResponse:
    """The first step: any well-formed input leads to the code page, whether it is right or not."""
    if request.method == "GET" and is_verified(request):
        return HttpResponseRedirect(pages.safe_next(request) or pages.home())
    if request.method == "GET" and request.session.get(signin.ENROL_UNTIL):
        return redirect("security:enrol")
    form = PasswordForm(request.POST if request.method == "POST" else None)
    following = pages.safe_next(request)
    if not form.is_valid():
        return pages.render(request, "login", title="Sign in", form=form, next=following)
    name, password = form.cleaned_data["username"], form.cleaned_data["password"]
    try:
        signin.check_password_step(request, name, password, following)
    except LimitedError as error:
        return pages.too_many(request, error)
    return redirect("security:code")


@sensitive_post_parameters()
@never_cache
@csrf_protect
def code(request: HttpRequest) -> HttpResponse:
    """The second step, with the authenticator app."""
    return _second_step(request, CodeForm, "code", signin.check_code_step)


@sensitive_post_parameters()
@never_cache
@csrf_protect
def recovery(request: HttpRequest) -> HttpResponse:
    """The second step, with a recovery code."""
    return _second_step(request, RecoveryForm, "recovery", signin.check_recovery_step)


def _second_step(
    request: HttpRequest,
    form_class: type[CodeForm | RecoveryForm],
    template: str,
    check: Callable[[HttpRequest, signin.Partial, str], signin.Outcome],
) -> HttpResponse:
    partial = signin.partial_state(request)
    if partial is None:
        return redirect("admin:login")
    # The button "I have no app yet" sends a code that is never right: only a new account can continue from there.
    data = {"code": "none"} if "enrol" in request.POST else request.POST
    form = form_class(data if request.method == "POST" else None)
    if form.is_valid():
        try:
            outcome = check(request, partial, form.cleaned_data["code"])
        except LimitedError as error:
            return pages.too_many(request, error)
        if outcome is signin.Outcome.MUST_ENROL:
            return redirect("security:enrol")
        if outcome is signin.Outcome.VERIFIED:
            return _welcome(request, partial, by_recovery=template == "recovery")
        form = form_class()
        return pages.render(request, template, title="Sign in", form=form, refused=signin.GENERIC)
    return pages.render(request, template, title="Sign in", form=form)


def _welcome(request: HttpRequest, partial: signin.Partial, *, by_recovery: bool) -> HttpResponse:
    response = HttpResponseRedirect(partial.next or pages.home())
    if by_recovery:
        left = factors.unused_recovery_codes(request.user.pk or 0)
        text = (
            f"You signed in with a recovery code; {left} are left. If you have lost your"
            " authenticator app, set it up again now. If it was not you, tell an administrator."
        )
        messages.warning(request, text)
        response = redirect("security:recovery_codes")
    limits.remember_browser(request, response, request.user.get_username())
    return response


@never_cache
@csrf_protect
def logout(request: HttpRequest) -> HttpResponse:
    """Sign out by POST only, so that no other site can do it with a link."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    sessions.end(request)
    messages.success(request, "You have signed out.")
    return redirect("admin:login")


@sensitive_post_parameters()
@never_cache
@csrf_protect
def step_up(request: HttpRequest) -> HttpResponse:
    """Ask a verified session for a fresh code, and continue under a new session id."""
    if not is_verified(request):
        return redirect("admin:login")
    form = CodeForm(request.POST if request.method == "POST" else None)
    facts: dict[str, Any] = {"title": "Confirm it is you", "next": pages.safe_next(request)}
    if not form.is_valid():
        return pages.render(request, "step_up", form=form, **facts)
    account = limits.account_key(request.user.get_username())
    try:
        limits.spend(limits.STEP_UP, account, request)
    except LimitedError as error:
        return pages.too_many(request, error)
    device = factors.spend_totp(request.user.pk or 0, form.cleaned_data["code"])
    if device is None:
        authlog.failure("bad_otp", user=request.user)
        audit.record(
            "auth.reauth_failed", target=request.user, outcome="failure", reason="bad_code"
        )
        return pages.render(request, "step_up", form=CodeForm(), refused=CODE_REFUSED, **facts)
    limits.forgive(limits.STEP_UP, account, request)
    sessions.renew_id(request)
    sessions.verify(request, device, factors=("password", "otp"))
    audit.record("auth.reauth_succeeded", target=request.user)
    return HttpResponseRedirect(facts["next"] or pages.home())


@require_recent_auth()
def change_password(
    request: HttpRequest, show_or_save: Callable[[HttpRequest], HttpResponse]
) -> HttpResponse:
    """Wrap Django's password change: rate-limited before hashing, audited, and other sessions are ended."""
    user = request.user
    if request.method != "POST":
        return show_or_save(request)
    account = limits.account_key(user.get_username())
    try:
        limits.spend(limits.PASSWORD, account, request)
    except LimitedError as error:
        return pages.too_many(request, error)
    response = show_or_save(request)
    if response.status_code != 302:
        audit.record(
            "password.change_failed", target=user, outcome="failure", reason="form refused"
        )
        return response
    limits.forgive(limits.PASSWORD, account, request)
    audit.record("password.changed", target=user)
    sessions.end_others(
        user.pk or 0, keep=request.session.session_key, reason="password changed", actor=user
    )
    return response
