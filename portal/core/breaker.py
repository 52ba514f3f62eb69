"""A circuit breaker: a server that hangs must not hold the threads that serve pages.

A timeout opens the circuit: in all processes, requests then fail at once for OPEN_SECONDS. After that one
trial request is let through, and its success closes the circuit. Without Redis each process has its own.
"""

import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TypeVar

from django.core.cache import cache
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.locmem import LocMemCache
from redis.exceptions import RedisError

from portal.core.models import Upstream
from portal.core.upstream_errors import Fault, UpstreamError

OPEN_SECONDS = 30.0
HALF_OPEN_SECONDS = 300  # after OPEN_SECONDS: how long only one trial request at a time is allowed
TRIAL_SECONDS = 15
MAX_CONCURRENT = 2  # of the four threads of a web process
SLOT_WAIT_SECONDS = 1.0

T = TypeVar("T")
_local = LocMemCache("breaker", {})
_slots: dict[str, threading.BoundedSemaphore] = {}


@contextmanager
def guarded(upstream: Upstream) -> Iterator[None]:
    """Guard the request made inside the block. Raises UpstreamError at once rather than letting it wait."""
    key = f"breaker:{upstream.pk}:{zlib.crc32(upstream.url.encode())}"
    slots = _slots.setdefault(key, threading.BoundedSemaphore(MAX_CONCURRENT))
    if not slots.acquire(timeout=SLOT_WAIT_SECONDS):
        raise UpstreamError(
            Fault.TIMEOUT,
            f"{upstream.name} is still busy with earlier searches from the portal. Try again in a moment.",
        )
    try:
        is_trial = _check(upstream, key)
        try:
            yield
        except UpstreamError as error:
            if error.fault == Fault.TIMEOUT:
                _open(key)
            elif is_trial:
                _close(key)  # an error response is a response: the server does not hang
            raise
        if is_trial:
            _close(key)
    finally:
        slots.release()


def _check(upstream: Upstream, key: str) -> bool:
    """Return True for the trial request. Raises UpstreamError while the circuit is open."""
    until = _with_cache(lambda store: store.get(key))
    if until is None:
        return False
    left = until - time.time()
    if left <= 0 and _with_cache(lambda store: store.add(f"{key}:trial", 1, TRIAL_SECONDS)):
        return True
    seconds = max(1, round(left)) if left > 0 else TRIAL_SECONDS
    raise UpstreamError(
        Fault.TIMEOUT,
        f"{upstream.name} did not answer in time a moment ago. To keep pages responsive, it is not asked again for"
        f" {seconds} second{'' if seconds == 1 else 's'}.",
        retry_at=datetime.fromtimestamp(time.time() + seconds, UTC),
    )


def _open(key: str) -> None:
    until = time.time() + OPEN_SECONDS
    for store in (cache, _local):
        _try(store, lambda store: store.set(key, until, OPEN_SECONDS + HALF_OPEN_SECONDS))
        _try(store, lambda store: store.delete(f"{key}:trial"))


def _close(key: str) -> None:
    for store in (cache, _local):
        _try(store, lambda store: store.delete_many([key, f"{key}:trial"]))


def _with_cache(ask: Callable[[BaseCache], T]) -> T:
    """Use the cache that all processes share, or that of this process when Redis is down."""
    try:
        return ask(cache)
    except (RedisError, OSError):
        return ask(_local)


def _try(store: BaseCache, change: Callable[[BaseCache], object]) -> None:
    try:
        change(store)
    except (RedisError, OSError):
        return  # the other store holds the same state
