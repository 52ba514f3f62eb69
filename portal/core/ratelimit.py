"""Enforces rate limits with atomic counters in Redis, before any work is done.

When Redis is unreachable, each process counts on its own and logs a warning: a broken counter must
neither lock everybody out nor allow unlimited guessing. The readiness check reports Redis at once.
"""

import logging
import time
from functools import lru_cache

from django.conf import settings
from limits import RateLimitItem, parse
from limits.errors import StorageError
from limits.storage import MemoryStorage, Storage, storage_from_string
from limits.strategies import FixedWindowRateLimiter
from redis.exceptions import RedisError

log = logging.getLogger(__name__)


@lru_cache(maxsize=4)
def _limiter(redis_url: str) -> FixedWindowRateLimiter:
    # The `limits` library writes a socket as redis+unix:// and takes the password from the URL.
    url = (
        redis_url.replace("unix://", "redis+unix://", 1)
        if redis_url.startswith("unix://")
        else redis_url
    )
    storage = storage_from_string(
        url, wrap_exceptions=True, key_prefix="portal:limits", socket_timeout=2
    )
    assert isinstance(storage, Storage)
    return FixedWindowRateLimiter(storage)


@lru_cache(maxsize=1)
def _local() -> FixedWindowRateLimiter:
    return FixedWindowRateLimiter(MemoryStorage())


@lru_cache(maxsize=64)
def _item(rule: str) -> RateLimitItem:
    return parse(rule)


def allow(rule: str, *key: str) -> bool:
    """Count one hit for `key`; False when `rule` (such as "5/minute") is exceeded."""
    try:
        return _limiter(settings.REDIS_URL).hit(_item(rule), *key)
    except (StorageError, RedisError, OSError) as error:
        log.warning(
            "Rate limit %s counted in this process only: Redis cannot be reached (%s).", rule, error
        )
        return _local().hit(_item(rule), *key)


def retry_after_seconds(rule: str, *key: str) -> int:
    """Return the seconds until `key` may try again, at least 1."""
    try:
        stats = _limiter(settings.REDIS_URL).get_window_stats(_item(rule), *key)
    except (StorageError, RedisError, OSError):
        stats = _local().get_window_stats(_item(rule), *key)
    return max(1, int(stats.reset_time - time.time()) + 1)


def forget(rule: str, *key: str) -> None:
    """Clear the count of `key`, for example after a success."""
    try:
        _limiter(settings.REDIS_URL).clear(_item(rule), *key)
    except (StorageError, RedisError, OSError):
        log.warning("Rate limit %s not cleared: Redis cannot be reached.", rule)


def peek(rule: str, *key: str) -> bool:
    """Return whether `key` has hits left, without counting one."""
    try:
        return _limiter(settings.REDIS_URL).test(_item(rule), *key)
    except (StorageError, RedisError, OSError):
        return _local().test(_item(rule), *key)
