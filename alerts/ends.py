"""Keeps the last endsAt of each listed alert in the cache, packed; without it, poll and webhook are careful."""

import logging
from collections.abc import Iterable

from django.core.cache import cache
from redis.exceptions import RedisError

from alerts import memory
from alerts.payloads import ListedAlert
from portal.core.models import Upstream

log = logging.getLogger(__name__)
SECONDS = 24 * 3600


def _key(upstream: Upstream) -> str:
    return f"alert-ends:{upstream.pk}"


def recall(upstream: Upstream) -> memory.Memory:
    try:
        return memory.unpack(cache.get(_key(upstream)))
    except (RedisError, OSError):
        return {}


def remember(upstream: Upstream, alerts: Iterable[ListedAlert]) -> None:
    try:
        cache.set(_key(upstream), memory.pack(alerts), timeout=SECONDS)
    except (RedisError, OSError) as error:
        log.warning(
            "The ends of %s's alerts were not remembered: Redis cannot be reached (%s).",
            upstream,
            error,
        )
