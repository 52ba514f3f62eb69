"""Ends the keeping of old entries: whole months, by the policy AUDIT_RETENTION_MONTHS, audited.

The trigger that refuses DELETE guards rows; a partition is dropped as a table, by its owner. The
default partition, which holds what no month covers, is never touched. A month that a reader of the
trail (audit/readers.py) has not read to its end is kept until it has, or until that reader is gone.
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

# That a month is kept is said once a day, not at each tick.
SAID_AGAIN = timedelta(days=1)
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
    unread_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pruning:
    """Which months went, and which are past the policy but stay, because somebody has not read them."""

    dropped: list[Month]
    kept: list[Month]


def oldest_kept(*, at: datetime, months: int) -> str:
    """Return the name of the oldest partition that `months` full months before this one keep."""
    number = at.astimezone(UTC).year * 12 + at.astimezone(UTC).month - 1 - months
    return f"audit_entry_{number // 12:04d}_{number % 12 + 1:02d}"


def _names(*, at: datetime, months: int) -> list[str]:
    """Return the partitions past the policy, oldest first; none for 0 months, which keeps all."""
    if months <= 0:
        return []
    with connection.cursor() as cursor:
        cursor.execute(EXPIRED, [oldest_kept(at=at, months=months)])
        return [name for (name,) in cursor.fetchall()]


def expired(*, at: datetime, months: int) -> list[Month]:
    """Return the months past the policy, oldest first, each with the readers that lack some of it."""
    names, followers = _names(at=at, months=months), readers.every()
    return [_month(name, _unread_by(name, followers)) for name in names]


def holding(*, at: datetime, months: int) -> dict[str, list[str]]:
    """Return for each reader that keeps months past the policy from being dropped, which ones."""
    found: dict[str, list[str]] = {}
    followers = readers.every()
    for name in _names(at=at, months=months):
        for reader in _unread_by(name, followers):
            found.setdefault(reader, []).append(name)
    return found


def _month(name: str, unread_by: tuple[str, ...]) -> Month:
    with connection.cursor() as cursor:
        # The name is one of those that EXPIRED matches.
        cursor.execute(f"SELECT count(*), min(recorded_at), max(recorded_at) FROM {name}")  # noqa: S608
        rows, first, last = cursor.fetchone()
    return Month(name, rows, first, last, unread_by)


def _unread_by(name: str, followers: Sequence[Reader]) -> tuple[str, ...]:
    """Return the names of those that have something of the partition still to read."""
    unread = f"SELECT EXISTS (SELECT FROM {name} WHERE (txid, id) > (%s::text::xid8, %s))"  # noqa: S608
    behind = []
    with connection.cursor() as cursor:
        for reader in followers:
            cursor.execute(unread, [str(reader.position.txid), reader.position.entry_id])
            if cursor.fetchone()[0]:
                behind.append(reader.name)
    return tuple(behind)


def prune(*, at: datetime, months: int) -> Pruning:
    """Drop what is expired and read by all, each month in a transaction with its entry.

    A month whose lock is not to be had at once waits for the next tick: writers go first.
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
    """Record that a month stays, and because of whom; once a day."""
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
