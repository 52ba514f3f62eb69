"""Writes and reads Celery beat's heartbeat: without a beat no task starts, with two every task starts twice.

The loop that starts the tasks writes it, so that a hanging scheduler is noticed.
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
# Two missed heartbeats plus a margin, so that a killed beat is not counted for long.
LIVE_SECONDS = 15


def live_beats(*, now: float | None = None) -> list[str]:
    """Return `host:pid` of each beat with a recent heartbeat. Raises RedisError or OSError."""
    since = (now or time.time()) - LIVE_SECONDS
    with _client() as client:
        found: Any = client.zrangebyscore(KEY, since, "+inf")
    return [name.decode("utf-8", "replace") for name in found]


def record_heartbeat(*, now: float | None = None) -> None:
    """Write the heartbeat of this process, and delete those older than an hour."""
    at = now or time.time()
    with _client() as client:
        client.zadd(KEY, {f"{socket.gethostname()}:{os.getpid()}": at})
        client.zremrangebyscore(KEY, "-inf", at - 3600)


def remove_heartbeat() -> None:
    with _client() as client:
        client.zrem(KEY, f"{socket.gethostname()}:{os.getpid()}")


def _client() -> redis.Redis:
    once = Retry(NoBackoff(), 0)  # the default retries for seconds, and the next tick tries again
    return redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=1, socket_connect_timeout=1, retry=once
    )


class HeartbeatScheduler(PersistentScheduler):
    """Celery's own scheduler, which also writes a heartbeat."""

    recorded_at = float("-inf")

    def tick(self, *args: Any, **kwargs: Any) -> Any:
        wait = super().tick(*args, **kwargs)
        if time.monotonic() - self.recorded_at >= EVERY_SECONDS:
            self.recorded_at = time.monotonic()
            self._try(record_heartbeat)
        return wait

    def close(self) -> None:
        self._try(remove_heartbeat)
        super().close()

    @staticmethod
    def _try(step: Any) -> None:
        """Run a step that needs Redis; beat must keep running when Redis is down."""
        try:
            step()
        except (redis.RedisError, OSError) as error:
            log.warning("Beat could not write its heartbeat to Redis: %s", error)
