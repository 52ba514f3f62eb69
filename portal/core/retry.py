"""Works out from a 429's headers when the server accepts requests again (pure)."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

# A server that says "next year" is wrong. Within a day somebody will have seen the error message.
LONGEST = timedelta(days=1)
RESET_HEADERS = ("X-Sentry-Rate-Limit-Reset", "X-RateLimit-Reset")


def retry_at(
    headers: Mapping[str, str], *, now: datetime, skew_seconds: float = 0
) -> datetime | None:
    """Return the time given by `Retry-After` (RFC 9110), else by a reset header, on our clock.

    `skew_seconds` is the server's clock minus ours. None when no header is usable.
    """
    found = _after(headers.get("Retry-After", "").strip(), now, skew_seconds)
    if found is None:
        found = reset_at(headers, skew_seconds=skew_seconds)
    return None if found is None else min(max(found, now), now + LONGEST)


def reset_at(headers: Mapping[str, str], *, skew_seconds: float = 0) -> datetime | None:
    """Return when the rate limit's window ends, from headers in Unix time."""
    written = next((headers[name] for name in RESET_HEADERS if name in headers), "")
    return _epoch(_number(written), skew_seconds)


def _after(written: str, now: datetime, skew_seconds: float) -> datetime | None:
    seconds = _number(written)
    if seconds is not None:
        return now + timedelta(seconds=min(seconds, LONGEST.total_seconds()))
    try:
        moment = parsedate_to_datetime(written) if written else None
    except (ValueError, IndexError, TypeError, OverflowError):
        return None
    if moment is None:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware - timedelta(seconds=skew_seconds)


def _number(written: str) -> float | None:
    try:
        value = float(written)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _epoch(seconds: float | None, skew_seconds: float) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds - skew_seconds, UTC) if seconds else None
    except (OverflowError, OSError, ValueError):
        return None
