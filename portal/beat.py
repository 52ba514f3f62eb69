"""Beat leaves a sign of life: with none nothing ticks, with two everything ticks twice.

The sign is left by the loop that ticks, so a scheduler that hangs falls silent.
"""

import logging
import os
import socket
import time
from typing import Any

import redis
from celery.beat import PersistentScheduler
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

log = logging.getLogger(__name__)
KEY = "portal:beats"
EVERY_SECONDS = 5
# Twice missed, and a little more: a beat that was killed is not taken for a second one for long.
LIVE_SECONDS = 15


def live_beats(*, now: float | None = None) -> list[str]:
    """Return host and process of each beat that has ticked lately. Raises RedisError or OSError."""
    since = (now or time.time()) - LIVE_SECONDS
    with _client() as client:
        found: Any = client.zrangebyscore(KEY, since, "+inf")
    return [name.decode("utf-8", "replace") for name in found]


def tell(*, now: float | None = None) -> None:
    """Leave a sign of this process, and forget those of an hour ago."""
    at = now or time.time()
    with _client() as client:
        client.zadd(KEY, {f"{socket.gethostname()}:{os.getpid()}": at})
        client.zremrangebyscore(KEY, "-inf", at - 3600)


def withdraw() -> None:
    with _client() as client:
        client.zrem(KEY, f"{socket.gethostname()}:{os.getpid()}")


def _client() -> redis.Redis:
    once = Retry(NoBackoff(), 0)  # the default retries for seconds, and the next tick tries again
    return redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=1, socket_connect_timeout=1, retry=once
    )


class TellingScheduler(PersistentScheduler):
    """Celery's own scheduler, which also says that it lives."""

    told_at = float("-inf")

    def tick(self, *args: Any, **kwargs: Any) -> Any:
        wait = super().tick(*args, **kwargs)
        if time.monotonic() - self.told_at >= EVERY_SECONDS:
            self.told_at = time.monotonic()
            self._try(tell)
        return wait

    def close(self) -> None:
        self._try(withdraw)
        super().close()

    @staticmethod
    def _try(step: Any) -> None:
        """Redis may be away; a beat that ticks is worth more than one that is seen to."""
        try:
            step()
        except (redis.RedisError, OSError) as error:
            log.warning("Beat could not write its heartbeat to Redis: %s", error)
