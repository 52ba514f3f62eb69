"""Fixtures shared by all tests."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
import psycopg
import pytest
import redis
from django.conf import settings
from django.db import connection
from django.db.models import Max

from audit.models import AuditEntry
from security import gate_store, suspicion

# No deadline, because the time an example takes depends on the load of the machine. CI tries the same
# examples each time, so that only a change can make it fail; elsewhere each run tries others.
hypothesis.settings.register_profile(
    "portal",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),
)
hypothesis.settings.load_profile("portal")


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let every database test use both aliases of the database, because denials are written through the second."""
    for marker in item.iter_markers("django_db"):
        marker.kwargs.setdefault("databases", ["default", "autocommit"])  # type: ignore[attr-defined]


@pytest.fixture
def another_connection(transactional_db: None) -> Iterator[Any]:
    """A separate connection, to hold locks or open transactions as a worker or an export does."""
    facts = connection.get_connection_params()
    names = [name for name in ("dbname", "user", "password", "host", "port") if name in facts]
    with psycopg.connect(**{name: facts[name] for name in names}, autocommit=True) as other:
        yield other


Trail = Callable[[], list[AuditEntry]]


@pytest.fixture(autouse=True)
def empty_redis() -> Iterator[None]:
    """Empty Redis, so that counters of one test do not limit the next; each xdist worker has its own database."""
    client = redis.Redis.from_url(settings.REDIS_URL)
    client.flushdb()
    client.hset(gate_store.HASH, gate_store.READY, "1")  # there are no blocks yet
    suspicion._counts.clear()  # counted per process
    yield
    client.close()


@pytest.fixture
def trail(request: pytest.FixtureRequest) -> Trail:
    """Return a function that returns the entries written since the test began, oldest first.

    The table is append-only for tests as well, so the entries of earlier transactional tests are still there.
    """
    request.getfixturevalue("transactional_db" if _is_transactional(request) else "db")
    last = AuditEntry.objects.aggregate(last=Max("id"))["last"] or 0
    return lambda: list(AuditEntry.objects.filter(id__gt=last).order_by("id"))


def _is_transactional(request: pytest.FixtureRequest) -> bool:
    marker = request.node.get_closest_marker("django_db")
    return bool(marker and marker.kwargs.get("transaction"))
