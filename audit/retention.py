"""Deletes old entries by whole months, according to AUDIT_RETENTION_MONTHS; each deletion is audited.

A trigger refuses DELETE of rows, but the owner can drop a partition as a table. The default partition,
with rows outside any month, is never dropped. A month that a reader of the trail (audit/readers.py) has
not completely read is kept until it has been read, or the reader is removed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import OperationalError, connection, transaction
from psycopg.errors import LockNotAvailable

from audit import readers, services
from audit.models import AuditEntry
from audit.readers import Reader
from audit.services import Target

# That a month is kept is recorded once a day, not at each tick.
SAID_AGAIN = timedelta(days=1)
EXPIRED = """
SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'audit_entry'::regclass AND c.relname ~ '^audit_entry_[0-9]{4}_[0-9]{2}$' AND c.relname < %s
ORDER BY c.relname
"""


@dataclass(frozen=True, slots=True)
class Month:
    """A partition past the retention period, and what it contains."""

    name: str
    rows: int
    first: datetime | None
    last: datetime | None
    unread_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pruning:
    """The months that were dropped, and those that are kept past the period because they have unread entries."""

    dropped: list[Month]
    kept: list[Month]


def oldest_kept(*, at: datetime, months: int) -> str:
    """Return the name of the oldest partition to keep, `months` full months before this one."""
    number = at.astimezone(UTC).year * 12 + at.astimezone(UTC).month - 1 - months
    return f"audit_entry_{number // 12:04d}_{number % 12 + 1:02d}"


def _names(*, at: datetime, months: int) -> list[str]:
    """Return the partitions past the retention period, oldest first; none for 0 months, which keeps all."""
    if months <= 0:
        return []
    with connection.cursor() as cursor:
        cursor.execute(EXPIRED, [oldest_kept(at=at, months=months)])
        return [name for (name,) in cursor.fetchall()]


def expired(*, at: datetime, months: int) -> list[Month]:
    """Return the months past the retention period, oldest first, with the readers that have not read all of each."""
    names, followers = _names(at=at, months=months), readers.every()
    return [_month(name, _unread_by(name, followers)) for name in names]


def holding(*, at: datetime, months: int) -> dict[str, list[str]]:
    """Return, for each reader that prevents expired months from being dropped, those months."""
    found: dict[str, list[str]] = {}
    followers = readers.every()
    for name in _names(at=at, months=months):
        for reader in _unread_by(name, followers):
            found.setdefault(reader, []).append(name)
    return found


def _month(name: str, unread_by: tuple[str, ...]) -> Month:
    with connection.cursor() as cursor:
        # Safe to interpolate: EXPIRED returns only names that match its pattern.
        cursor.execute(f"SELECT count(*), min(recorded_at), max(recorded_at) FROM {name}")  # noqa: S608
        rows, first, last = cursor.fetchone()
    return Month(name, rows, first, last, unread_by)


def _unread_by(name: str, followers: Sequence[Reader]) -> tuple[str, ...]:
    """Return the names of readers that have unread entries in the partition."""
    unread = f"SELECT EXISTS (SELECT FROM {name} WHERE (txid, id) > (%s::text::xid8, %s))"  # noqa: S608
    behind = []
    with connection.cursor() as cursor:
        for reader in followers:
            cursor.execute(unread, [str(reader.position.txid), reader.position.entry_id])
            if cursor.fetchone()[0]:
                behind.append(reader.name)
    return tuple(behind)


def prune(*, at: datetime, months: int) -> Pruning:
    """Drop the expired months that all readers have read, each in one transaction with its audit entry.

    If the lock is not available at once, the month waits for the next tick, so that writers are not blocked.
    """
    past = expired(at=at, months=months)
    kept = [month for month in past if month.unread_by]
    for month in kept:
        _say_kept(month, at=at)
    dropped = []
    for month in past:
        if month.unread_by:
            continue
        try:
            _drop(month, months)
        except OperationalError as error:
            if not isinstance(error.__cause__, LockNotAvailable):
                raise
            break
        dropped.append(month)
    return Pruning(dropped, kept)


def _say_kept(month: Month, *, at: datetime) -> None:
    """Record, once a day, that a month is kept, and because of which readers."""
    said = AuditEntry.objects.since(at - SAID_AGAIN).filter(action="audit.prune_withheld")
    if said.of_target("audit.partition", month.name).exists():
        return
    facts = {"partition": month.name, "rows": month.rows, "unread_by": [*month.unread_by]}
    services.record(
        "audit.prune_withheld", target=Target("audit.partition", month.name), data=facts,
        reason=f"not read yet by {', '.join(month.unread_by)}",
    )  # fmt: skip


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
