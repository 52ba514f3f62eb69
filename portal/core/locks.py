"""Makes sure that only one process of the portal does a piece of work at a time, however many workers run."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection


@contextmanager
def alone(lock: int) -> Iterator[bool]:
    """Yield True if no other process holds `lock`, and hold it for the block; never wait.

    `lock` is the key of a PostgreSQL advisory lock, which is released with the connection of a
    process that dies.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [lock])
        is_free = bool(cursor.fetchone()[0])
    try:
        yield is_free
    finally:
        if is_free:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [lock])
