"""Keeps secrets out of the trail (pure): by the name of the key, and by the format of the value."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit, urlunsplit

SECRET_KEY_NAME = re.compile(
    r"pass(word|wd|phrase)?|secret|token|api_?key|dsn|authorization|cookie|credential|otp|seed|private",
    re.I,
)
# Input may be hostile: bounded or possessive quantifiers keep the time linear in its length.
_SECRET_VALUES = re.compile(
    r"dop_[a-z]+_[0-9A-Za-z]{20,}"
    r"|gh[pousr]_[0-9A-Za-z]{30,}"
    r"|glpat-[0-9A-Za-z_-]{20,}"
    r"|AKIA[0-9A-Z]{16}"
    r"|eyJ[0-9A-Za-z_-]{10,}+\.[0-9A-Za-z_-]{10,}+\.[0-9A-Za-z_-]*"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)"
    r"|https://hooks\.slack\.com/services/\S+"
)
_URL = re.compile(r"[a-z][a-z0-9+.-]{0,30}+://[^\s\"'<>]+", re.I)

Fingerprint = Callable[[str], str]


def _strip_userinfo(match: re.Match[str]) -> str:
    try:
        parts = urlsplit(match[0])
        if "@" not in parts.netloc:
            return match[0]
        return urlunsplit(parts._replace(netloc=f"[redacted]@{parts.netloc.rpartition('@')[2]}"))
    except ValueError:
        return "[redacted url]"


def text(value: str) -> str:
    """Return `value` without anything that looks like a secret."""
    return _URL.sub(_strip_userinfo, _SECRET_VALUES.sub("[redacted]", value))


def value(item: Any, fingerprint: Fingerprint, *, key: str = "") -> Any:
    """Return a copy of a JSON value, with the values of secret keys replaced by fingerprints.

    Equal secrets have equal fingerprints, so that changes of a secret remain visible.
    """
    if (
        key
        and SECRET_KEY_NAME.search(key)
        and item not in (None, "", [], {})
        and not isinstance(item, bool | int)
    ):
        return {"redacted": True, "hmac": fingerprint(str(item))[:8]}
    if isinstance(item, str):
        return text(item)
    if isinstance(item, dict):
        return {name: value(inner, fingerprint, key=str(name)) for name, inner in item.items()}
    if isinstance(item, list | tuple):
        return [value(inner, fingerprint) for inner in item]
    return item


def changes(diff: dict[str, Any], fingerprint: Fingerprint) -> dict[str, Any]:
    """Return `{field: [old, new]}` with both sides of a secret field redacted."""
    result: dict[str, Any] = {}
    for name, pair in diff.items():
        result[name] = (
            [value(side, fingerprint, key=name) for side in pair]
            if isinstance(pair, list | tuple)
            else value(pair, fingerprint, key=name)
        )
    return result
