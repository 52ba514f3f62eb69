"""Limits count on Redis, and a broken Redis locks nobody out."""

import pytest
from pytest_django import Settings

from portal.core import ratelimit


def test_the_hit_after_the_last_is_refused() -> None:
    assert [ratelimit.allow("3/minute", "case", "a") for _ in range(4)] == [True, True, True, False]
    assert ratelimit.allow("3/minute", "case", "b")
    assert 1 <= ratelimit.retry_after_seconds("3/minute", "case", "a") <= 61


def test_peeking_counts_nothing_and_forgetting_starts_anew() -> None:
    assert all(ratelimit.peek("1/minute", "peek") for _ in range(3))
    ratelimit.allow("1/minute", "peek")
    assert not ratelimit.peek("1/minute", "peek")
    ratelimit.forget("1/minute", "peek")
    assert ratelimit.peek("1/minute", "peek")


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "unix:///nowhere/valkey.sock?db=0"])
def test_without_redis_everything_is_allowed_and_a_warning_is_logged(
    url: str, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.REDIS_URL = url
    assert all(ratelimit.allow("1/minute", "down") for _ in range(3))
    assert ratelimit.peek("1/minute", "down")
    assert ratelimit.retry_after_seconds("1/minute", "down") == 1
    ratelimit.forget("1/minute", "down")
    assert "Redis cannot be reached" in caplog.text
