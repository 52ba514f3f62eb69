"""Signs users in, in two steps that reveal nothing until both have succeeded.

The first step checks the password and stores only its outcome: the account's id if the password is
right and the account may use the portal, else 0. The second step checks a code for that id. Neither
the text nor the timing of a refusal reveals which step failed or whether the account exists: every
path hashes once, reads and writes the same rows, and audits one entry.
"""

import time
import unicodedata
from dataclasses import asdict, dataclass
from enum import Enum

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.http import HttpRequest

from audit import services as audit
from audit.services import Target
from portal.core import crypto
from security import authlog, factors, limits, sessions

_KEY = "portal_signin"
VALID_SECONDS = 300
# Set while a staff account without a factor enrols one; until then no other page is accessible.
ENROL_UNTIL = "portal_enrol_until"
ENROL_SECONDS = 15 * 60
GENERIC = (
    "The user name, password or code is not right, or the code was used before. "
    "Try the next code, or start again."
)


@dataclass(frozen=True, slots=True)
class Partial:
    """The state stored in the session between the two steps. `user_id` is 0 if the first step failed."""

    user_id: int
    password_fp: str
    account: str
    next: str
    at: float


class Outcome(Enum):
    """How the second step ended."""

    VERIFIED = "verified"
    MUST_ENROL = "must enrol"
    REFUSED = "refused"


def check_password_step(request: HttpRequest, username: str, password: str, next_url: str) -> None:
    """Do the first step. Raises LimitedError, before any hash is computed."""
    account = limits.account_key(username)
    limits.spend(limits.PASSWORD, account, request)
    user = User.objects.filter(username=unicodedata.normalize("NFKC", username)).first()
    reason = _first_step_reason(user, password)
    _audit_first_step(user, username, reason)
    accepted = user if user and not reason else None
    # End any earlier session, which an attacker may have planted (session fixation).
    sessions.end(request, reason="signed in again")
    partial = Partial(
        user_id=accepted.pk if accepted else 0,
        password_fp=_password_fingerprint(accepted.password if accepted else ""),
        account=account,
        next=next_url,
        at=time.time(),
    )
    request.session[_KEY] = asdict(partial)
    request.session.set_expiry(VALID_SECONDS)


def partial_state(request: HttpRequest) -> Partial | None:
    """Return the state of the first step, unless it is missing or older than five minutes."""
    kept = request.session.get(_KEY)
    if not isinstance(kept, dict):
        return None
    partial = Partial(**kept)
    return partial if 0 <= time.time() - partial.at <= VALID_SECONDS else None


def check_code_step(request: HttpRequest, partial: Partial, code: str) -> Outcome:
    """Do the second step with a code of the authenticator app. Raises LimitedError."""
    limits.spend(limits.CODE, partial.account, request)
    user = _still_valid(partial)
    device = factors.spend_totp(user.pk if user else 0, code)
    enrolled = factors.has_factor(user.pk if user else 0)
    if user and device:
        _enter(request, user, partial, factor="otp")
        sessions.verify(request, device, factors=("password", "otp"))
        _audit_success(user, "otp")
        return Outcome.VERIFIED
    if user and not enrolled:
        _enter(request, user, partial, factor="")
        request.session[ENROL_UNTIL] = time.time() + ENROL_SECONDS
        request.session.set_expiry(ENROL_SECONDS)
        audit.record("auth.session_created", target=user, reason="may only enrol a second factor")
        return Outcome.MUST_ENROL
    _audit_refusal(user, "bad_code")
    return Outcome.REFUSED


def check_recovery_step(request: HttpRequest, partial: Partial, code: str) -> Outcome:
    """Do the second step with a recovery code, which is used up. Raises LimitedError."""
    limits.spend(limits.CODE, partial.account, request)
    user = _still_valid(partial)
    device = factors.spend_recovery_code(user.pk if user else 0, code)
    if not (user and device):
        _audit_refusal(user, "bad_recovery_code")
        return Outcome.REFUSED
    _enter(request, user, partial, factor="recovery_code")
    sessions.verify(request, device, factors=("password", "recovery_code"))
    left = factors.unused_recovery_codes(user.pk)
    audit.record("mfa.recovery_code_used", target=user, data={"left": left})
    _audit_success(user, "recovery_code")
    return Outcome.VERIFIED


def _first_step_reason(user: User | None, password: str) -> str:
    """Return why the first step fails, or an empty string. Computes exactly one hash."""
    if user is None:
        make_password(password)
        return "unknown_user"
    if not user.check_password(password):
        return "bad_password"
    if not user.is_active:
        return "inactive"
    return "" if user.is_staff else "not_staff"


def _still_valid(partial: Partial) -> User | None:
    """Return the account of the first step, unless it changed in the meantime."""
    user = User.objects.filter(pk=partial.user_id, is_active=True, is_staff=True).first()
    if user is None or _password_fingerprint(user.password) != partial.password_fp:
        return None
    return user


def _password_fingerprint(encoded: str) -> str:
    return crypto.fingerprint("password-hash", encoded)


def _enter(request: HttpRequest, user: User, partial: Partial, *, factor: str) -> None:
    request.session.pop(_KEY, None)
    sessions.begin(request, user, factors=("password", factor) if factor else ("password",))
    if factor:
        limits.forgive(limits.PASSWORD, partial.account, request)
        limits.forgive(limits.CODE, partial.account, request)


def _audit_first_step(user: User | None, username: str, reason: str) -> None:
    if user is None:  # the name may be a password typed into the wrong field
        data = {"name_fingerprint": limits.account_key(username), "name_length": len(username)}
        target = Target("auth.user")
    else:
        data, target = {}, audit.target_of(user)
    if reason:
        authlog.failure("unknown_user" if user is None else "bad_password", user=user)
        audit.record(
            "auth.login_failed", target=target, outcome="failure", reason=reason, data=data
        )
    else:
        audit.record("auth.password_accepted", target=target)


def _audit_refusal(user: User | None, reason: str) -> None:
    """Record a refused second step; if the first step failed, the code was not checked."""
    target = user if user else Target("auth.user")
    if user:  # a failed first step has been logged already
        authlog.failure("bad_otp", user=user)
    reason = reason if user else "first_step_failed"
    audit.record("mfa.failed", target=target, outcome="failure", reason=reason)


def _audit_success(user: User, factor: str) -> None:
    audit.record("mfa.verified", target=user, data={"factor": factor})
    audit.record("auth.login_succeeded", target=user, data={"factor": factor})
