"""When a server takes requests again, in every way servers say it."""

from datetime import UTC, datetime, timedelta

import pytest

from portal.core.retry import retry_at

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "headers, seconds",
    [
        ({"Retry-After": "120"}, 120),
        ({"Retry-After": "Sun, 01 Mar 2026 12:05:00 GMT"}, 300),
        ({"Retry-After": "Sun, 01 Mar 2026 11:00:00 GMT"}, 0),
        ({"Retry-After": "1e300"}, 86400),
        ({"Retry-After": "soon", "X-Sentry-Rate-Limit-Reset": str(NOW.timestamp() + 30)}, 30),
        ({"Retry-After": "5", "X-Sentry-Rate-Limit-Reset": str(NOW.timestamp() + 30)}, 5),
        ({"X-RateLimit-Reset": str(NOW.timestamp() + 10**9)}, 86400),
        ({"X-RateLimit-Reset": "1e300"}, None),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "nan"}, None),
        ({}, None),
    ],
    ids=str,
)
def test_retry_at(headers: dict[str, str], seconds: int | None) -> None:
    expected = None if seconds is None else NOW + timedelta(seconds=seconds)
    assert retry_at(headers, now=NOW) == expected


def test_a_server_whose_clock_is_ahead() -> None:
    headers = {"X-RateLimit-Reset": str(NOW.timestamp() + 90)}
    assert retry_at(headers, now=NOW, skew_seconds=60) == NOW + timedelta(seconds=30)
