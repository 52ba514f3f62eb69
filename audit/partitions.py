"""Creates the monthly partitions of the audit table ahead of time."""

import logging
from datetime import date, datetime
from itertools import pairwise

from django.db import IntegrityError, OperationalError, connection, transaction
from psycopg.errors import LockNotAvailable

log = logging.getLogger(__name__)
MONTHS_AHEAD = 3


def month_starts(first: date, count: int) -> list[date]:
    """Return the first days of `count` months, starting with the month of `first`."""
    return [
        date(first.year + (first.month - 1 + n) // 12, (first.month - 1 + n) % 12 + 1, 1)
        for n in range(count)
    ]


def ensure(*, at: datetime, months_back: int = 0) -> list[str]:
    """Create the missing partitions from `months_back` ago to three months ahead; return their names.

    Rows without a monthly partition go to the default partition, which cannot be dropped by month;
    creating partitions ahead keeps it empty. A month that already has rows there, because the portal was
    not running when it began, stays there, and the later months are still created. If the lock is not
    available at once, a later tick creates the partition.
    """
    first = month_starts(at.date().replace(day=1), 1)[0]
    for _ in range(months_back):
        first = date(first.year - (first.month == 1), (first.month - 2) % 12 + 1, 1)
    starts = month_starts(first, months_back + MONTHS_AHEAD + 2)
    made = []
    for start, end in pairwise(starts):
        try:
            made.append(_create(start, end))
        except OperationalError as error:
            if not isinstance(error.__cause__, LockNotAvailable):
                raise
            log.warning(
                "A long read of the audit trail is running: partitions for coming months are created by a later tick."
            )
            break
    return [name for name in made if name]


def _create(start: date, end: date) -> str:
    """Create the partition of one month; return its name, or empty if it exists or cannot be created."""
    name = f"audit_entry_{start:%Y_%m}"
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass(%s)", [name])
            if cursor.fetchone()[0] is not None:
                return ""
            # This locks the whole table: if we waited behind an export of an hour, every request that
            # writes an entry would wait behind us.
            cursor.execute("SET LOCAL lock_timeout = '2s'")
            cursor.execute(
                f"CREATE TABLE IF NOT EXISTS {name} PARTITION OF audit_entry"
                f" FOR VALUES FROM ('{start.isoformat()} 00:00+00') TO ('{end.isoformat()} 00:00+00')"
            )
            # Row triggers are inherited by partitions, statement triggers are not.
            cursor.execute(
                f"CREATE TRIGGER audit_entry_no_truncate BEFORE TRUNCATE ON {name}"
                " FOR EACH STATEMENT EXECUTE FUNCTION audit_entry_refuse()"
            )
    except IntegrityError:
        log.warning("%s is not created: entries of that month are in the default partition.", name)
        return ""
    return name
