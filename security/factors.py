"""Spending second factors: a TOTP step or a recovery code is used at most once, whoever races.

Each function does the same database work for a user without a factor (id 0 included), so that
the time of an answer does not tell whether the password before it was right.
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
RECOVERY_BYTES = 16  # 128 bits: ASVS 6.5.2 asks for 112 where the hash is fast
_GROUPS = (5, 5, 5, 5, 6)
# People read 0 for O, 1 for I and 8 for B; base32 has no 0, 1 and 8, so these are safe to mend.
_MISREAD = str.maketrans("018", "OIB")


class _Decoy:
    """An encrypted seed of nobody, made at first use: no device costs as much as a wrong code."""

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
    """Return the user's device when `written` is its unspent code of now, and spend that step."""
    now = time.time()
    locked = TotpDevice.objects.select_for_update()
    device = locked.filter(user_id=user_id, confirmed=True).first()
    seed = device.seed if device else _Decoy.seed()
    step = totp.matching_step(seed, written, now=now, spent=device.last_step if device else 0)
    if device is None or step is None:
        return None
    used_at = datetime.fromtimestamp(now, UTC)
    # The row is locked; the comparison in the statement holds even where the lock would not.
    unspent = TotpDevice.objects.filter(pk=device.pk, last_step__lt=step)
    return device if unspent.update(last_step=step, last_used_at=used_at) == 1 else None


def spend_recovery_code(user_id: int, written: str) -> RecoveryDevice | None:
    """Return the user's set of recovery codes when `written` is an unused one, and use it up."""
    unused = RecoveryCode.objects.filter(
        device__user_id=user_id,
        device__confirmed=True,
        code_hash__in=_hashes(written),
        used_at__isnull=True,
    )
    found = unused.values_list("pk", flat=True).first() or 0
    # On the row alone: with a join, the update would not look at it again after waiting for its lock.
    spent = RecoveryCode.objects.filter(pk=found, used_at__isnull=True)
    if spent.update(used_at=datetime.now(UTC)) != 1:
        return None
    device: RecoveryDevice | None = RecoveryDevice.objects.filter(user_id=user_id).first()
    return device


@transaction.atomic
def replace_recovery_codes(user_id: int) -> list[str]:
    """Make a new set, end the old one, and return the codes; they exist nowhere else afterwards."""
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
    """Hashes under the present key and the retired ones, so that rotation keeps printed codes."""
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return [_hash(written, str(key)) for key in keys]
