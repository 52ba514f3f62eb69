"""Verifies second factors: a TOTP step or a recovery code is accepted at most once, also by concurrent requests.

Each function does the same database work for a user without a factor (including id 0), so that the
response time does not reveal whether the password before it was right.
"""

import base64
import secrets
import time
from datetime import UTC, datetime

from django.conf import settings
from django.db import transaction
from django.utils.crypto import salted_hmac

from portal.core import crypto
from security import totp
from security.models import RecoveryCode, RecoveryDevice, TotpDevice

RECOVERY_CODES = 10
RECOVERY_BYTES = 16  # 128 bits: ASVS 6.5.2 requires 112 with a fast hash
_GROUPS = (5, 5, 5, 5, 6)
# People mistake O for 0, I for 1 and B for 8; base32 has no 0, 1 and 8, so these can safely be corrected.
_MISREAD = str.maketrans("018", "OIB")


class _Decoy:
    """A seed that belongs to nobody, so that checking a user without a device takes as long as a wrong code."""

    cipher = ""

    @classmethod
    def seed(cls) -> str:
        if not cls.cipher:
            cls.cipher = crypto.encrypt(totp.new_seed())
        return crypto.decrypt(cls.cipher)


def totp_device(user_id: int) -> TotpDevice | None:
    device: TotpDevice | None = TotpDevice.objects.filter(user_id=user_id, confirmed=True).first()
    return device


def has_factor(user_id: int) -> bool:
    return totp_device(user_id) is not None


@transaction.atomic
def spend_totp(user_id: int, written: str) -> TotpDevice | None:
    """Return the user's device if `written` is its current, unused code; mark that time step as used."""
    now = time.time()
    locked = TotpDevice.objects.select_for_update()
    device = locked.filter(user_id=user_id, confirmed=True).first()
    seed = device.seed if device else _Decoy.seed()
    step = totp.matching_step(seed, written, now=now, spent=device.last_step if device else 0)
    if device is None or step is None:
        return None
    used_at = datetime.fromtimestamp(now, UTC)
    # The row is locked; the condition in the statement prevents reuse even without the lock.
    unspent = TotpDevice.objects.filter(pk=device.pk, last_step__lt=step)
    return device if unspent.update(last_step=step, last_used_at=used_at) == 1 else None


def spend_recovery_code(user_id: int, written: str) -> RecoveryDevice | None:
    """Return the user's set of recovery codes if `written` is an unused one of them; mark it as used."""
    unused = RecoveryCode.objects.filter(
        device__user_id=user_id,
        device__confirmed=True,
        code_hash__in=_hashes(written),
        used_at__isnull=True,
    )
    found = unused.values_list("pk", flat=True).first() or 0
    # Without a join: after waiting for the row's lock, an update with a join would not check it again.
    spent = RecoveryCode.objects.filter(pk=found, used_at__isnull=True)
    if spent.update(used_at=datetime.now(UTC)) != 1:
        return None
    device: RecoveryDevice | None = RecoveryDevice.objects.filter(user_id=user_id).first()
    return device


@transaction.atomic
def replace_recovery_codes(user_id: int) -> list[str]:
    """Replace the set of codes, and return the new ones, which are not stored in plain text."""
    device, _ = RecoveryDevice.objects.select_for_update().get_or_create(
        user_id=user_id, defaults={"name": "Recovery codes", "confirmed": True}
    )
    device.codes.all().delete()
    codes = [_new_code() for _ in range(RECOVERY_CODES)]
    RecoveryCode.objects.bulk_create(
        RecoveryCode(device=device, code_hash=_hash(code, settings.SECRET_KEY)) for code in codes
    )
    return codes


def unused_recovery_codes(user_id: int) -> int:
    return RecoveryCode.objects.filter(device__user_id=user_id, used_at__isnull=True).count()


def _new_code() -> str:
    text = base64.b32encode(secrets.token_bytes(RECOVERY_BYTES)).decode().rstrip("=")
    groups, start = [], 0
    for length in _GROUPS:
        groups.append(text[start : start + length])
        start += length
    return "-".join(groups)


def _hash(written: str, key: str) -> str:
    plain = "".join(c for c in written.upper().translate(_MISREAD) if c.isalnum())
    return salted_hmac("security.recovery", plain, secret=key, algorithm="sha256").hexdigest()


def _hashes(written: str) -> list[str]:
    """Return the hashes with the current and the retired keys, so that printed codes survive a key rotation."""
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return [_hash(written, str(key)) for key in keys]
