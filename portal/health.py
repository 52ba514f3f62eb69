"""Views for probes: `/healthz` says whether this process answers, `/readyz` whether each part of the portal works."""

import time
from collections.abc import Callable
from typing import Any

from django.core.cache import cache
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from redis.exceptions import RedisError

from portal.tasks import HEARTBEAT_KEY

# The heartbeat is due every 10 seconds; a worker that is busy with a slow poll may miss a few.
HEARTBEAT_LIMIT_SECONDS = 60

# The state of a part: whether it is ready, and a sentence.
Finding = tuple[bool, str]


def healthz(request: HttpRequest) -> HttpResponse:
    """Answer without depending on anything else: if this fails, restarting the process helps."""
    return HttpResponse("ok\n", content_type="text/plain", headers={"Cache-Control": "no-store"})


def readyz(request: HttpRequest) -> JsonResponse:
    """Answer 200 when every part is ready, else 503; both list each part with its sentence."""
    found = {name: check() for name, check in CHECKS.items()}
    ready = all(good for good, _sentence in found.values())
    document: dict[str, Any] = {
        "status": "ready" if ready else "not ready",
        "parts": {name: {"ready": good, "detail": said} for name, (good, said) in found.items()},
    }
    return JsonResponse(
        document, status=200 if ready else 503, headers={"Cache-Control": "no-store"}
    )


def heartbeat_age_seconds() -> float | None:
    """Return the age of the newest heartbeat of any worker; None when there is none.

    Raises RedisError or OSError when Redis is unavailable.
    """
    beat = cache.get(HEARTBEAT_KEY)
    return max(0.0, time.time() - float(beat)) if beat is not None else None


def _database() -> Finding:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        return False, f"The database cannot be used: {_short(error)}. Check DATABASE_URL."
    return True, "The database answers."


def pending_migrations() -> int:
    """Return how many migrations have not been applied. Raises DatabaseError."""
    executor = MigrationExecutor(connection)
    return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def _migrations() -> Finding:
    try:
        pending = pending_migrations()
    except DatabaseError:
        return False, "Unknown while the database cannot be used."
    if pending:
        return False, f"{pending} migrations are not applied. Run: manage.py migrate."
    return True, "All migrations are applied."


def _redis() -> Finding:
    try:
        cache.get(HEARTBEAT_KEY)
    except (RedisError, OSError) as error:
        return False, f"Redis cannot be used: {_short(error)}. Check REDIS_URL."
    return True, "Redis answers."


def _worker() -> Finding:
    try:
        age = heartbeat_age_seconds()
    except (RedisError, OSError):
        return False, "Unknown while Redis cannot be used."
    if age is None:
        return False, "No worker has sent a heartbeat. Start worker and beat."
    if age > HEARTBEAT_LIMIT_SECONDS:
        return (
            False,
            f"No heartbeat from a worker for {age:.0f} s. Check that worker and beat are running.",
        )
    return True, f"The last heartbeat from a worker was {age:.0f} s ago."


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


CHECKS: dict[str, Callable[[], Finding]] = {
    "database": _database,
    "migrations": _migrations,
    "redis": _redis,
    "worker": _worker,
}
