"""Validates the targets of checks: URLs, and host:port (pure)."""

from collections.abc import Mapping
from urllib.parse import urlsplit

MAX_PORT = 65_535
MAX_HEADERS = 20


class TargetError(ValueError):
    """The text is not a valid target; the message says what to write."""


def url_of(written: str) -> str:
    """Return a checked http(s) URL. Raises TargetError."""
    text = written.strip()
    example = "Write a URL such as https://shop.example/health."
    if any(c.isspace() or ord(c) < 32 for c in text):
        raise TargetError(f"A URL cannot contain spaces or control characters. {example}")
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise TargetError(f"This is not a URL. {example}")
    if parts.username or parts.password:
        raise TargetError("Leave user and password out of the URL; send a header instead.")
    return text


def headers_of(written: Mapping[str, str]) -> dict[str, str]:
    """Return headers that HTTP can carry. Raises TargetError."""
    if len(written) > MAX_HEADERS:
        raise TargetError(f"At most {MAX_HEADERS} headers are allowed.")
    for name, value in written.items():
        named = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
        if not (named and value and value.isascii() and value.isprintable()):
            raise TargetError(f"{name[:60]!r} is not a header. Write Name: value, in ASCII.")
    return dict(written)


def address_of(written: str) -> tuple[str, int]:
    """Return host and port of `host:port` or `[IPv6]:port`. Raises TargetError."""
    text = written.strip()
    example = "Write host:port, for example db.example:5432."
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port or port > MAX_PORT or parts.path or parts.query or parts.username:
        raise TargetError(f"This is not a host and port. {example}")
    if any(c.isspace() or ord(c) < 32 for c in text):
        raise TargetError(f"A host cannot contain spaces or control characters. {example}")
    return host, port


def statuses_of(written: str) -> tuple[tuple[int, int], ...]:
    """Return the ranges of `200-299, 401`. Raises TargetError."""
    found = []
    for part in written.split(","):
        low, dash, high = (piece.strip() for piece in part.partition("-"))
        high = high if dash else low
        if not (low.isascii() and low.isdigit() and high.isascii() and high.isdigit()):
            raise TargetError(
                f"{part.strip()[:40]!r} is not an HTTP status. Write, for example, 200-299, 401."
            )
        first, last = int(low[:6]), int(high[:6])
        if not 100 <= first <= last <= 599:
            raise TargetError(
                f"{part.strip()[:40]!r} is not an HTTP status. They range from 100 to 599."
            )
        found.append((first, last))
    return tuple(found)
