"""Computes time-based one-time passwords by RFC 6238 (pure): SHA-1, six digits, 30 seconds.

Every authenticator app supports these parameters. The functions take time and seed, and return a code
or its time step; the caller must make sure that a step is used only once (security/factors.py).
"""

import base64
import hashlib
import hmac
import secrets
from urllib.parse import quote, urlencode

STEP_SECONDS = 30
DIGITS = 6
SEED_BYTES = 20
# One step back for slow typing, none forward: a code is valid for 30 to 60 seconds (ASVS 6.5.5).
STEPS_BACK = 1


def new_seed() -> str:
    """Return a random seed of 160 bits in base32, as authenticator apps expect it."""
    return base64.b32encode(secrets.token_bytes(SEED_BYTES)).decode()


def step_at(seconds: float) -> int:
    return int(seconds) // STEP_SECONDS


def code_at(seed: str, step: int) -> str:
    """Return the code of one time step (RFC 4226, section 5.3)."""
    key = base64.b32decode(seed)
    digest = hmac.new(key, step.to_bytes(8, "big"), hashlib.sha1).digest()
    offset = digest[-1] & 0x0F
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
    return str(number % 10**DIGITS).zfill(DIGITS)


def matching_step(seed: str, written: str, *, now: float, spent: int) -> int | None:
    """Return the time step of the given code, if it is in the window and later than `spent`."""
    code = "".join(written.split())
    found = None
    for step in range(step_at(now) - STEPS_BACK, step_at(now) + 1):
        # Every step is compared, so that the time taken reveals nothing.
        right = hmac.compare_digest(code_at(seed, step).encode(), code.encode("utf-8", "replace"))
        if right and step > spent:
            found = step
    return found


def uri(seed: str, *, account: str, issuer: str) -> str:
    """Return the `otpauth://` URI for a QR code (the Key Uri Format of Google Authenticator)."""
    label = f"{quote(issuer, safe='')}:{quote(account, safe='')}"
    query = urlencode(
        {"secret": seed, "issuer": issuer, "digits": DIGITS, "period": STEP_SECONDS},
        quote_via=quote,
    )
    return f"otpauth://totp/{label}?{query}"
