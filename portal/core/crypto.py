"""Encrypts secrets at rest: a list of keys, keyed fingerprints, and an encrypted model field."""

import base64
import hashlib
import hmac
import json
from functools import lru_cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import models


def _fernet_key(secret: str) -> bytes:
    """Return a Fernet key: `secret` itself if it is one, else a key derived from it."""
    try:
        if len(base64.urlsafe_b64decode(secret)) == 32:
            return secret.encode()
    except ValueError:
        pass
    return base64.urlsafe_b64encode(hashlib.sha256(secret.encode()).digest())


@lru_cache(maxsize=4)
def _ring(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(_fernet_key(key)) for key in keys])


def encrypt(plain: str) -> str:
    return _ring(tuple(settings.FIELD_ENCRYPTION_KEYS)).encrypt(plain.encode()).decode()


class LostKeyError(ValueError):
    """No configured key decrypts a stored secret; the message says what to do."""


def decrypt(cipher: str) -> str:
    """Return the plain text. Raises LostKeyError when no configured key fits."""
    try:
        return _ring(tuple(settings.FIELD_ENCRYPTION_KEYS)).decrypt(cipher.encode()).decode()
    except InvalidToken as error:
        raise LostKeyError(
            "A stored secret cannot be decrypted: FIELD_ENCRYPTION_KEYS no longer holds the key it was"
            " written with. Add the old key again after the new one, separated by a comma."
        ) from error


def fingerprint(purpose: str, value: str) -> str:
    """Return 16 hex digits that identify a secret without revealing it (keyed by SECRET_KEY)."""
    key = f"{purpose}:{settings.SECRET_KEY}".encode()
    return hmac.new(key, value.encode("utf-8", "replace"), hashlib.sha256).hexdigest()[:16]


class EncryptedJSONField(models.TextField):  # type: ignore[type-arg]
    """A JSON value that reaches PostgreSQL only in encrypted form. It cannot be filtered on."""

    def from_db_value(self, value: str | None, *_args: object) -> Any:
        return None if not value else json.loads(decrypt(value))

    def get_prep_value(self, value: Any) -> str | None:
        return "" if value in (None, "", {}, []) else encrypt(json.dumps(value))

    def to_python(self, value: Any) -> Any:
        return value

    def value_to_string(self, obj: models.Model) -> str:
        return ""  # dumpdata must never export a secret
