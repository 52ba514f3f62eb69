"""Who waits for whom in the database, for tests of what two do at once."""

from django.db import connection

WAITING = """
SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')
"""


def somebody_waits() -> bool:
    """True while a connection to this database waits for a lock; ask outside of a transaction."""
    with connection.cursor() as cursor:
        cursor.execute(WAITING)
        return bool(cursor.fetchone()[0])
