"""Limits how often a sign-in step may be tried: by address, by account and address, and by account.

Attempts are counted atomically in Redis before any password is hashed, and no differently for accounts
that do not exist. No account is ever locked: the account-wide limit delays strangers, while a browser
that has signed in to the account before is counted separately. It holds a signed device cookie, as
OWASP describes under "Device Cookies".
"""

import unicodedata
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse

from audit import services as audit
from audit.services import Target
from portal.core import crypto, ratelimit, request_context
from security import authlog

DEVICE_COOKIE = "portal_known"
DEVICE_COOKIE_AGE = 90 * 24 * 3600
_SALT = "security.known-browser"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of signing in, with its three limits."""

    name: str
    by_address: str = "40/5minute"
    by_pair: str = "5/5minute"
    by_account: str = "20/5minute"


PASSWORD = Step("password")
CODE = Step("code", by_account="10/15minute")
STEP_UP = Step("step-up")
ENROLMENT = Step("enrolment", by_pair="10/5minute")


class LimitedError(Exception):
    """The limit is reached; `wait` is the number of seconds until the next try."""

    def __init__(self, wait: int) -> None:
        super().__init__(f"Too many attempts. Wait {wait} seconds, then try again.")
        self.wait = wait


def account_key(username: str) -> str:
    """Return the key under which attempts on an account are counted; spelling variants share one."""
    return crypto.fingerprint("account", unicodedata.normalize("NFKC", username).casefold())


def network_key(address: str | None) -> str:
    """Return the address, or the /64 of an IPv6 address, because one host can use all addresses in it."""
    if address is None:
        return "socket"
    parsed = ip_address(address)
    return (
        str(ip_network((parsed, 64), strict=False)) if isinstance(parsed, IPv6Address) else address
    )


def spend(step: Step, account: str, request: HttpRequest) -> None:
    """Count one attempt. Raises LimitedError when one of the three limits is reached."""
    address = network_key(request_context.current().source_ip)
    known = _known_browser(request, account)
    count(step.by_address, f"{step.name}-address", address)
    count(step.by_pair, f"{step.name}-pair", account, address)
    count(step.by_account, f"{step.name}-account", account, known)


def forgive(step: Step, account: str, request: HttpRequest) -> None:
    """Clear the account's counts after a success, but not that of the address."""
    address = network_key(request_context.current().source_ip)
    ratelimit.forget(step.by_pair, f"{step.name}-pair", account, address)
    known = _known_browser(request, account)
    ratelimit.forget(step.by_account, f"{step.name}-account", account, known)


def count(rule: str, name: str, *key: str) -> None:
    """Count one hit. Raises LimitedError when the limit is exceeded; audits the first refusal of a window."""
    if ratelimit.allow(rule, name, *key):
        return
    wait = ratelimit.retry_after_seconds(rule, name, *key)
    if name != "api":
        authlog.failure("throttled")
    if ratelimit.allow(f"1/{rule.partition('/')[2]}", f"{name}-told", *key):
        record_refusal(rule, name)
    raise LimitedError(wait)


def record_refusal(rule: str, name: str) -> None:
    """Audit the first refusal of a window."""
    audit.record(
        "ratelimit.exceeded",
        target=Target("ratelimit", name),
        outcome="failure",
        reason=f"more than {rule} by {name}",
        http_status=429,
    )


def remember_browser(request: HttpRequest, response: HttpResponse, username: str) -> None:
    """Give the browser the cookie that marks it as known to this account."""
    value = signing.dumps(account_key(username), salt=_SALT)
    response.set_cookie(
        DEVICE_COOKIE,
        value,
        max_age=DEVICE_COOKIE_AGE,
        path="/admin/",
        secure=settings.HTTPS,
        httponly=True,
        samesite="Strict",
    )


def _known_browser(request: HttpRequest, account: str) -> str:
    """Return the id of this browser if the account knows it, else an empty string."""
    value = request.COOKIES.get(DEVICE_COOKIE, "")
    try:
        known = signing.loads(value, salt=_SALT, max_age=DEVICE_COOKIE_AGE)
    except signing.BadSignature:
        return ""
    return crypto.fingerprint("known-browser", value) if known == account else ""
