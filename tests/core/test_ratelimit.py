"""Limits count on Redis, and a broken Redis neither locks everybody out nor opens the door."""

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
def test_without_redis_each_process_counts_on_its_own_and_a_warning_is_logged(
    url: str, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.REDIS_URL = url
    counted = [ratelimit.allow("2/minute", "down", url) for _ in range(3)]
    assert counted == [True, True, False]
    assert not ratelimit.peek("2/minute", "down", url)
    assert 1 <= ratelimit.retry_after_seconds("2/minute", "down", url) <= 61
    ratelimit.forget("2/minute", "down", url)
    assert "Redis cannot be reached" in caplog.text


def test_the_count_survives_a_process_because_redis_keeps_it(settings: Settings) -> None:
    assert ratelimit.allow("1/minute", "shared")
    ratelimit._limiter.cache_clear()
    assert not ratelimit.allow("1/minute", "shared")
