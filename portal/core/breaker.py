"""Keeps servers that hang from holding the threads that serve pages.

After a timeout a server rests: whoever asks meanwhile is told so at once, in all processes. Then one
question is let through, and its answer ends the rest. Without Redis each process learns for itself.
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

REST_SECONDS = 30.0
DOUBT_SECONDS = 300  # how long after a rest only one question at a time is let through
TRIAL_SECONDS = 15
MOST_AT_ONCE = 2  # of the four threads of a web process
PATIENCE_SECONDS = 1.0

T = TypeVar("T")
_here = LocMemCache("breaker", {})
_seats: dict[str, threading.BoundedSemaphore] = {}


@contextmanager
def asking(upstream: Upstream) -> Iterator[None]:
    """Bound the question asked inside the block. Raises UpstreamError instead of letting it wait."""
    key = f"breaker:{upstream.pk}:{zlib.crc32(upstream.url.encode())}"
    seats = _seats.setdefault(key, threading.BoundedSemaphore(MOST_AT_ONCE))
    if not seats.acquire(timeout=PATIENCE_SECONDS):
        raise UpstreamError(
            Fault.TIMEOUT,
            f"{upstream.name} is still busy with earlier searches from the portal. Try again in a moment.",
        )
    try:
        is_trial = _admit(upstream, key)
        try:
            yield
        except UpstreamError as error:
            if error.fault == Fault.TIMEOUT:
                _rest(key)
            elif is_trial:
                _end(key)  # whatever it answered, it answers
            raise
        if is_trial:
            _end(key)
    finally:
        seats.release()


def _admit(upstream: Upstream, key: str) -> bool:
    """Return True for the one that tries after a rest. Raises UpstreamError while it lasts."""
    until = _with_cache(lambda known: known.get(key))
    if until is None:
        return False
    left = until - time.time()
    if left <= 0 and _with_cache(lambda known: known.add(f"{key}:trial", 1, TRIAL_SECONDS)):
        return True
    seconds = max(1, round(left)) if left > 0 else TRIAL_SECONDS
    raise UpstreamError(
        Fault.TIMEOUT,
        f"{upstream.name} did not answer in time a moment ago. To keep pages responsive, it is not asked again for"
        f" {seconds} second{'' if seconds == 1 else 's'}.",
        retry_at=datetime.fromtimestamp(time.time() + seconds, UTC),
    )


def _rest(key: str) -> None:
    until = time.time() + REST_SECONDS
    for known in (cache, _here):
        _try(known, lambda known: known.set(key, until, REST_SECONDS + DOUBT_SECONDS))
        _try(known, lambda known: known.delete(f"{key}:trial"))


def _end(key: str) -> None:
    for known in (cache, _here):
        _try(known, lambda known: known.delete_many([key, f"{key}:trial"]))


def _with_cache(ask: Callable[[BaseCache], T]) -> T:
    """Ask the cache that all processes share, or our own where Redis is away."""
    try:
        return ask(cache)
    except (RedisError, OSError):
        return ask(_here)


def _try(known: BaseCache, change: Callable[[BaseCache], object]) -> None:
    try:
        change(known)
    except (RedisError, OSError):
        return  # the other one has it
