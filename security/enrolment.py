"""Sets up an account's second factor: one-time links, enrolment of an authenticator app, and resets.

All changes are made on completion, in one transaction: opening a link, or leaving half-way, changes
nothing.
"""

import hashlib
import secrets
import string
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from audit import services as audit
from security import factors, sessions, totp
from security.models import EnrolmentLink, RecoveryDevice, TotpDevice

LINK_LIFETIME = timedelta(minutes=15)
# In the format of our tokens, so that it is redacted in logs and in the audit trail.
LINK_PREFIX = "dop_enrol_"
_ALPHABET = string.ascii_letters + string.digits


class EnrolmentError(Exception):
    """Enrolment is not possible; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Who enrols, and what entitles them to. With a link, the chosen password is set on completion."""

    user: User
    may_replace: bool = False
    link_id: int | None = None
    password_hash: str = ""


@dataclass(frozen=True, slots=True)
class Completed:
    device: TotpDevice
    recovery_codes: list[str]


@transaction.atomic
def make_link(
    username: str, *, create: bool = False, superuser: bool = False, actor: Any = None
) -> str:
    """Return a one-time link with which `username` sets a password and enrols an app.

    `create` creates a missing account (staff, without a password); `superuser` makes it a superuser.
    Earlier links of the account become invalid. Raises EnrolmentError.
    """
    user = User.objects.select_for_update().filter(username=username).first()
    if user is None:
        user = _create(username, create=create)
    if not user.is_active:
        raise EnrolmentError(f"The account {username!r} is deactivated. Activate it first.")
    if superuser and not user.is_superuser:
        user.is_superuser = True
    if not user.is_staff:
        user.is_staff = True
    user.save()
    EnrolmentLink.objects.filter(user=user, used_at__isnull=True).delete()
    written = LINK_PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(32))
    EnrolmentLink.objects.create(
        user=user, token_hash=_hashed(written), expires_at=timezone.now() + LINK_LIFETIME
    )
    audit.record("auth.enrolment_link_created", actor=actor, target=user)
    return settings.PORTAL_URL.rstrip("/") + reverse("security:enrol_link", args=[written])


def _create(username: str, *, create: bool) -> User:
    if not create:
        raise EnrolmentError(f"There is no account {username!r}. Add --create to create it.")
    user = User(username=User.normalize_username(username), is_staff=True)
    user.set_unusable_password()
    try:
        user.full_clean(exclude=["password"])
    except ValidationError as error:
        raise EnrolmentError(
            f"{username!r} cannot be a user name: {' '.join(error.messages)}"
        ) from error
    return user


def usable_link(written: str) -> EnrolmentLink | None:
    """Return the link that a token belongs to, unless it is used, expired or unknown."""
    link = EnrolmentLink.objects.select_related("user").filter(token_hash=_hashed(written)).first()
    return link if link and _is_open(link) else None


def usable_link_by_id(link_id: int) -> EnrolmentLink | None:
    link = EnrolmentLink.objects.select_related("user").filter(pk=link_id).first()
    return link if link and _is_open(link) else None


def _is_open(link: EnrolmentLink) -> bool:
    return link.is_usable(at=timezone.now()) and link.user.is_active


def _hashed(written: str) -> str:
    return hashlib.sha256(written.encode("utf-8", "replace")).hexdigest()


def complete(candidate: Candidate, seed: str, code: str, *, keep: str | None) -> Completed:
    """Enrol the app that shows `code`, and return it with a new set of recovery codes.

    Ends all other sessions of the account; `keep` is the key of the current one.
    Raises EnrolmentError, in which case nothing has changed.
    """
    step = totp.matching_step(seed, code, now=time.time(), spent=0)
    if step is None:
        audit.record("mfa.failed", target=candidate.user, outcome="failure", reason="bad_code")
        raise EnrolmentError(
            "The code is not correct. Enter the six digits that the app shows now, and check that the"
            " phone's clock is set automatically."
        )
    with transaction.atomic():
        user = User.objects.select_for_update().get(pk=candidate.user.pk)
        _use_link(candidate, user)
        _remove_previous(candidate, user)
        now = timezone.now()
        device = TotpDevice.objects.create(
            user=user, name="Authenticator app", confirmed=True, seed=seed, last_step=step,
            last_used_at=now,
        )  # fmt: skip
        codes = factors.replace_recovery_codes(user.pk)
        audit.record("mfa.enrolled", actor=user, target=user, data={"factor": "otp"})
        sessions.end_others(user.pk, keep=keep, reason="factor changed", actor=user)
    return Completed(device, codes)


def _use_link(candidate: Candidate, user: User) -> None:
    if candidate.link_id is None:
        return
    open_links = EnrolmentLink.objects.filter(
        pk=candidate.link_id, used_at__isnull=True, expires_at__gt=timezone.now()
    )
    if not user.is_active or open_links.update(used_at=timezone.now()) != 1:
        raise EnrolmentError(
            "This link has been used or has expired. Ask your administrator for a new one."
        )
    user.password = candidate.password_hash
    user.save(update_fields=["password"])
    audit.record("password.changed", actor=user, target=user, reason="enrolment link")


def _remove_previous(candidate: Candidate, user: User) -> None:
    previous = TotpDevice.objects.select_for_update().filter(user=user)
    if not previous.exists():
        return
    if previous.filter(confirmed=True).exists() and not candidate.may_replace:
        raise EnrolmentError("This account already has an authenticator app. Sign in with it.")
    previous.delete()
    audit.record("mfa.removed", actor=user, target=user, reason="replaced by a new app")


@transaction.atomic
def reset(device: TotpDevice, *, actor: User) -> None:
    """Remove an account's factors, as an administrator; its user enrols again at the next sign-in.

    Raises EnrolmentError for one's own account, whose factor is replaced on the enrolment page.
    """
    if device.user_id == actor.pk:
        raise EnrolmentError(
            "Your own app cannot be reset here. Open Second factor in your account menu to"
            " replace it."
        )
    RecoveryDevice.objects.filter(user_id=device.user_id).delete()
    TotpDevice.objects.filter(user_id=device.user_id).delete()
    audit.record("mfa.reset_by_admin", actor=actor, target=device.user)
    sessions.end_others(device.user_id, keep=None, reason="factor reset", actor=actor)
