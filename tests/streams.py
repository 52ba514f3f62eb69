"""Waiting for the horizon of the trail: neighbours of the same server may hold a transaction open."""

from django.db import connection

from audit import stream
from audit.stream import Position
from tests.stack import until


def settled() -> None:
    """Return once everything that is committed by now lies before the horizon."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_xact_id()::text::bigint")
        newest = int(cursor.fetchone()[0])
    until(lambda: stream.horizon().txid > newest, "a transaction held the horizon for a minute", 60)


def start() -> Position:
    """Return the horizon once nothing of an earlier test lies beyond it."""
    settled()
    return stream.horizon()
