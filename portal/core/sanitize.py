"""Makes text and JSON storable in PostgreSQL, which rejects some of what `json.loads` accepts.

NUL and lone surrogates cannot be stored in text or jsonb, NaN and Infinity are not JSON, and
C0 control characters can forge lines in terminals and logs.
"""

import math
import re
from json import dumps, loads
from typing import Any

# Tab and newline are kept; the other C0 and C1 control characters are not.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SURROGATES = re.compile(r"[\ud800-\udfff]")
# In JSON: an escaped backslash, a surrogate pair, or half of one, which cannot be encoded in UTF-8.
_ESCAPED_SURROGATE = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
MAX_DEPTH = 20
# Tokens, including those in the path of one-time links.
_OUR_SECRETS = re.compile(r"dop_[a-z]+_[0-9A-Za-z]{20,}")


def mended(body: bytes) -> bytes:
    """Return JSON with each lone surrogate replaced by U+FFFD, because strict decoders reject it."""
    return _ESCAPED_SURROGATE.sub(lambda m: rb"\ufffd" if m[1] else m[0], body)


def items(body: bytes) -> list[bytes]:
    """Return the items of a JSON list separately, because one bad item makes the decoder reject the whole list.

    NaN and Infinity, which Python accepts although they are not JSON, are kept: the decoder then rejects
    only the items that contain them. Raises ValueError, RecursionError.
    """
    decoded = loads(mended(body))
    if not isinstance(decoded, list):
        raise ValueError(f"it is of the type {type(decoded).__name__}")
    return [dumps(item).encode() for item in decoded]


def text(value: object, limit: int) -> str:
    """Return `value` as storable text of at most `limit` characters.

    Characters that cannot be stored become U+FFFD, so that their loss is visible; a cut text ends in "…".
    """
    string = value if isinstance(value, str) else str(value)
    if not string.isprintable():  # a fast check, which most strings pass
        string = _SURROGATES.sub("\ufffd", _CONTROLS.sub("\ufffd", string))
    return string if len(string) <= limit else string[: limit - 1] + "…"


def without_secrets(written: str) -> str:
    """Return the text without the portal's tokens and one-time links."""
    return _OUR_SECRETS.sub("[redacted]", written) if "dop_" in written else written


def line(value: object, limit: int) -> str:
    """Return `value` as storable text without line breaks."""
    return text(value, limit).replace("\n", " ").replace("\t", " ")


def json(value: Any, *, limit: int = 10_000, depth: int = MAX_DEPTH) -> Any:
    """Return a copy of a decoded JSON value that jsonb accepts; strings are cut at `limit`."""
    if isinstance(value, str):
        return text(value, limit)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return (
            value if abs(value) < 10**30 else text(value, 60) if value.bit_length() < 4096 else "…"
        )
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if depth <= 0:
        return "…"
    if isinstance(value, dict):
        return {
            text(key, 500): json(item, limit=limit, depth=depth - 1) for key, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [json(item, limit=limit, depth=depth - 1) for item in value]
    return text(value, limit)
