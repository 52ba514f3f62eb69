"""Ends the keeping of old entries: whole months, by the policy AUDIT_RETENTION_MONTHS, audited.

The trigger that refuses DELETE guards rows; a partition is dropped as a table, by its owner. The
default partition, which holds what no month covers, is never touched.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import OperationalError, connection, transaction

from audit import services
from audit.services import Target

EXPIRED = """
SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'audit_entry'::regclass AND c.relname ~ '^audit_entry_[0-9]{4}_[0-9]{2}$' AND c.relname < %s
ORDER BY c.relname
"""


@dataclass(frozen=True, slots=True)
class Month:
    """A partition that is past the policy, and what it holds."""

    name: str
    rows: int
    first: datetime | None
    last: datetime | None


def oldest_kept(*, at: datetime, months: int) -> str:
    """Return the name of the oldest partition that `months` full months before this one keep."""
    number = at.astimezone(UTC).year * 12 + at.astimezone(UTC).month - 1 - months
    return f"audit_entry_{number // 12:04d}_{number % 12 + 1:02d}"


def expired(*, at: datetime, months: int) -> list[Month]:
    """Return the partitions past the policy, oldest first; none for 0 months, which keeps all."""
    if months <= 0:
        return []
    with connection.cursor() as cursor:
        cursor.execute(EXPIRED, [oldest_kept(at=at, months=months)])
        return [_month(name) for (name,) in cursor.fetchall()]


def _month(name: str) -> Month:
    with connection.cursor() as cursor:
        # The name is one of those that EXPIRED matches.
        cursor.execute(f"SELECT count(*), min(recorded_at), max(recorded_at) FROM {name}")  # noqa: S608
        rows, first, last = cursor.fetchone()
    return Month(name, rows, first, last)


def prune(*, at: datetime, months: int) -> list[Month]:
    """Drop what is expired, each month in a transaction with its entry; return what was dropped.

    A month whose lock is not to be had at once waits for the next tick: writers go first.
    """
    dropped = []
    for month in expired(at=at, months=months):
        try:
            _drop(month, months)
        except OperationalError:  # lock_timeout
            break
        dropped.append(month)
    return dropped


@transaction.atomic
def _drop(month: Month, months: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '2s'")
        cursor.execute(f"ALTER TABLE audit_entry DETACH PARTITION {month.name}")
        cursor.execute(f"DROP TABLE {month.name}")
    facts = {
        "partition": month.name, "rows": month.rows, "retention_months": months,
        "first": month.first.isoformat() if month.first else "", "last": month.last.isoformat() if month.last else "",
    }  # fmt: skip
    services.record("audit.pruned", target=Target("audit.partition", month.name), data=facts)
