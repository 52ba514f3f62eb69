"""Creates, checks and revokes API tokens, and defines their format.

`dop_pat_` + 32 base62 characters (190 bits) + 6 of a CRC-32: the prefix lets secret scanners find
a leaked token (regex: `dop_pat_[0-9A-Za-z]{38}`), and the checksum saves them false positives.
"""

import hashlib
import secrets
import string
import zlib
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from audit import services as audit
from portal.core.models import Service
from security import blocks
from security.models import ApiToken, Scope

PREFIX = "dop_pat_"
ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
RANDOM_CHARACTERS = 32
CHECKSUM_CHARACTERS = 6
MAX_LIFETIME = timedelta(days=366)
_UNITS = {"d": timedelta(days=1), "h": timedelta(hours=1)}
# `last_used_at` is written at most this often, so that a busy token does not create a row version per request.
TOUCH_EVERY = timedelta(minutes=1)


def _base62(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, rest = divmod(number, 62)
        digits.append(ALPHABET[rest])
    return "".join(reversed(digits))


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode("ascii")), CHECKSUM_CHARACTERS)


def is_well_formed(written: str) -> bool:
    """True when `written` has the right prefix, length, alphabet and checksum."""
    body, checksum = written[:-CHECKSUM_CHARACTERS], written[-CHECKSUM_CHARACTERS:]
    return (
        written.startswith(PREFIX)
        and len(written) == len(PREFIX) + RANDOM_CHARACTERS + CHECKSUM_CHARACTERS
        and all(character in ALPHABET for character in written[len(PREFIX) :])
        and secrets.compare_digest(_checksum(body), checksum)
    )


def hashed(written: str) -> str:
    return hashlib.sha256(written.encode("utf-8", "replace")).hexdigest()


def _minted() -> str:
    body = PREFIX + "".join(secrets.choice(ALPHABET) for _ in range(RANDOM_CHARACTERS))
    return body + _checksum(body)


def parse_expiry(written: str, *, at: datetime) -> datetime:
    """Return the time `90d` or `12h` after `at`. Raises ValidationError."""
    number, unit = written[:-1], written[-1:]
    is_number = number.isascii() and number.isdigit() and len(number) <= 5
    if unit not in _UNITS or not is_number or int(number) == 0:
        raise ValidationError(
            f"{written[:50]!r} is not a lifetime. Write 90d for days or 12h for hours."
        )
    return at + int(number) * _UNITS[unit]


def parse_networks(written: Iterable[str]) -> list[str]:
    """Return normalised CIDR networks. Raises ValidationError for an invalid one."""
    found = []
    for word in written:
        try:
            if "%" in word:
                raise ValueError("an address zone is valid on one machine only")
            found.append(str(ip_network(word.strip()[:50], strict=False)))
        except ValueError as error:
            raise ValidationError(
                f"{word[:50]!r} is not a network. Write it as 10.0.0.0/8 or 192.0.2.7/32."
            ) from error
    return found


def check_scopes(scopes: Sequence[str]) -> None:
    """Raise ValidationError for an empty list and for unknown scopes."""
    unknown = [scope for scope in scopes if scope not in Scope.values]
    if unknown or not scopes:
        raise ValidationError(
            f"Choose scopes from {', '.join(Scope.values)}; got {', '.join(unknown) or 'none'}."
        )


def _refuse_revoked(maker: ApiToken | None) -> None:
    """Raise ValidationError if the creating token is revoked; locks it, so that it cannot be revoked meanwhile."""
    if maker is None:
        return
    usable = ApiToken.objects.select_for_update().filter(pk=maker.pk, revoked_at__isnull=True)
    if usable.values_list("pk", flat=True).first() is None:
        raise ValidationError("The token you are using has been revoked.")


def check_expiry(expires_at: datetime | None) -> None:
    if expires_at is None:
        return
    if expires_at <= timezone.now():
        raise ValidationError("The expiry is in the past. Choose a later one.")
    if expires_at > timezone.now() + MAX_LIFETIME:
        raise ValidationError(
            f"A token can be valid for at most {MAX_LIFETIME.days} days. Choose an earlier expiry."
        )


@transaction.atomic
def create(
    *,
    user: User,
    name: str,
    scopes: Iterable[str],
    expires_at: datetime | None = None,
    networks: Iterable[str] = (),
    service: Service | None = None,
    made_with: ApiToken | None = None,
    actor: Any = None,
) -> tuple[ApiToken, str]:
    """Create a token and return it with its text, which is not stored.

    Raises ValidationError for an unknown scope, an invalid network, an expiry in the past or more than a
    year away, or when `made_with`, the token used to create it, was revoked.
    """
    wanted = list(dict.fromkeys(scopes))
    check_scopes(wanted)
    check_expiry(expires_at)
    _refuse_revoked(made_with)
    written = _minted()
    token = ApiToken(
        user=user, made_with=made_with, service=service, name=name, scopes=wanted, expires_at=expires_at,
        allowed_networks=parse_networks(networks), token_hash=hashed(written), hint=written[: len(PREFIX) + 4],
    )  # fmt: skip
    token.full_clean(exclude=["token_hash"])
    token.save()
    facts = {
        "scopes": wanted,
        "expires_at": str(expires_at or ""),
        "networks": token.allowed_networks,
    }
    audit.record(
        "token.created", actor=actor, target=token, data=facts | {"owner": user.get_username()}
    )
    blocks.token_made(token)
    return token, written


def within_parent(parent: ApiToken | None, expires_at: datetime | None) -> datetime | None:
    """Return the expiry of a token created with the token `parent`: never later than the parent's."""
    if parent is None or parent.expires_at is None:
        return expires_at
    return min(expires_at or parent.expires_at, parent.expires_at)


def check_networks_within(parent: ApiToken | None, networks: Iterable[str]) -> list[str]:
    """Return the networks of a token created with `parent`: the parent's by default, never wider ones.

    Raises ValidationError for a network that `parent` itself may not be used from.
    """
    wanted = parse_networks(networks)
    if parent is None or not parent.allowed_networks:
        return wanted
    allowed = [ip_network(written) for written in parent.allowed_networks]
    for written in wanted:
        network = ip_network(written)
        if not any(
            network.version == outer.version and network.subnet_of(outer)  # type: ignore[arg-type]
            for outer in allowed
        ):
            raise ValidationError(f"{written} is outside the networks of the token you are using.")
    return wanted or list(parent.allowed_networks)


@transaction.atomic
def revoke_with_made(token: ApiToken, *, actor: Any = None, reason: str = "") -> int:
    """Revoke a token and all tokens created with it, directly or not; return how many were still valid.

    A stolen token may have created others, which would outlive it. A token that is rotated regularly has
    created its own replacement, which is why `revoke` does not touch those.
    """
    count, waiting = int(revoke(token, actor=actor, reason=reason)), [token]
    seen = {token.pk}
    while waiting:
        maker = waiting.pop()
        for made in maker.made.exclude(pk__in=seen).select_related("user"):
            seen.add(made.pk)
            waiting.append(made)
            count += revoke(made, actor=actor, reason=f"created with {maker}, which was revoked")
    return count


@transaction.atomic
def revoke(token: ApiToken, *, actor: Any = None, reason: str = "") -> bool:
    """Revoke once; False when it was revoked already."""
    won = ApiToken.objects.filter(pk=token.pk, revoked_at__isnull=True).update(
        revoked_at=timezone.now()
    )
    if won:
        audit.record("token.revoked", actor=actor, target=token, reason=reason)
    return bool(won)


class RejectedError(Exception):
    """A token is rejected; the message is the reason for the audit trail."""

    def __init__(self, reason: str, token: ApiToken | None = None) -> None:
        super().__init__(reason)
        self.token = token


def check(written: str, *, address: str | None, at: datetime) -> ApiToken:
    """Return the token with the text `written`. Raises RejectedError with the reason."""
    if not is_well_formed(written):
        raise RejectedError("malformed")
    token = ApiToken.objects.select_related("user").filter(token_hash=hashed(written)).first()
    if token is None:
        raise RejectedError("unknown")
    if token.revoked_at is not None:
        raise RejectedError("revoked", token)
    if token.expires_at is not None and token.expires_at <= at:
        raise RejectedError("expired", token)
    if not token.user.is_active:
        raise RejectedError("user_inactive", token)
    if token.allowed_networks and not _within(address, token.allowed_networks):
        raise RejectedError("network_not_allowed", token)
    return token


def _within(address: str | None, networks: Iterable[str]) -> bool:
    if address is None:
        return False
    return any(ip_address(address) in ip_network(network) for network in networks)


def touch(token: ApiToken, *, address: str | None, at: datetime) -> None:
    """Record the use of a token, at most once a minute, however many clients share it."""
    if token.last_used_at is not None and at - token.last_used_at <= TOUCH_EVERY:
        return
    rested = Q(last_used_at__isnull=True) | Q(last_used_at__lt=at - TOUCH_EVERY)
    ApiToken.objects.filter(rested, pk=token.pk).update(last_used_at=at, last_used_ip=address)
