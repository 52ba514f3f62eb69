"""Sends the stream of the trail to each destination, at least once, with one sender per destination.

The cursor advances when the receiver has read a whole batch; after a failure, sending resumes from the
cursor with growing delays. Each destination has its own task, so that one that hangs delays no other.
"""

import logging
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from audit import stream
from audit.stream import Position
from portal.core.crypto import LostKeyError
from security.models.siem import SiemDestination
from security.siem import messages, transport

log = logging.getLogger(__name__)
BATCH = 500
MAX_BATCHES = 40
LEASE = timedelta(seconds=120)  # more than the longest batch takes
LONGEST_WAIT_SECONDS = 300


def claim_due(*, at: datetime) -> list[int]:
    """Lease the destinations that are due and have entries to send; return their ids."""
    with transaction.atomic():
        due = SiemDestination.objects.due(at=at).with_oldest_waiting()
        locked = due.select_for_update(skip_locked=True)
        found = [row.pk for row in locked if row.error or row.waits_since()]
        SiemDestination.objects.filter(pk__in=found).update(lease_until=at + LEASE)
    return found


def forward(pk: int) -> int:
    """Send the destination's unsent entries, batch by batch; return how many were sent."""
    sent, lease = 0, timezone.now()
    try:
        for _ in range(MAX_BATCHES):
            lease = _leased(pk)
            count = _batch(SiemDestination.objects.get(pk=pk, enabled=True))
            sent += count
            if count < BATCH:
                break
    except SiemDestination.DoesNotExist:
        return sent
    except transport.TransportError as error:
        _failed(pk, str(error), at=timezone.now(), until=error.until)
    except LostKeyError as error:
        _failed(pk, str(error), at=timezone.now())
    except Exception as error:  # the failure must be visible, and not be retried at every tick
        log.exception("Forwarding to destination %d failed inside the portal.", pk)
        said = (
            f"The portal failed while forwarding ({type(error).__name__}). See its log for details."
        )
        _failed(pk, said, at=timezone.now())
    finally:
        # Not the lease of another sender, which took over because this one was delayed.
        SiemDestination.objects.filter(pk=pk, lease_until=lease).update(lease_until=None)
    return sent


def _leased(pk: int) -> datetime:
    """Renew the lease, because the task may have waited for a worker or sent a long batch; return its end."""
    until = timezone.now() + LEASE
    SiemDestination.objects.filter(pk=pk).update(lease_until=until)
    return until


def _batch(destination: SiemDestination) -> int:
    """Send one batch and advance the cursor. Raises TransportError."""
    before = stream.horizon()
    start = _position(destination, before)
    entries = stream.read(start, before, limit=BATCH)
    if not entries:
        return 0
    messages.send(destination, entries)
    end, now = stream.position_of(entries[-1]), timezone.now()
    SiemDestination.objects.filter(
        pk=destination.pk, txid=destination.txid, entry_id=destination.entry_id
    ).update(
        txid=end.txid, entry_id=end.entry_id, sent=destination.sent + len(entries), sent_at=now, error="",
        failures=0, failing_since=None, not_before=None,
    )  # fmt: skip
    return len(entries)


def _position(destination: SiemDestination, before: Position) -> Position:
    """Return the cursor; in a database restored into another cluster, sending starts from now."""
    cluster = stream.cluster()
    if destination.cluster != cluster:
        log.warning("The database was restored: %s continues at this moment.", destination.name)
        destination.txid, destination.entry_id, destination.cluster = before.txid, 0, cluster
        destination.save(update_fields=["txid", "entry_id", "cluster"])
    return Position(destination.txid, destination.entry_id)


def _failed(pk: int, sentence: str, *, at: datetime, until: datetime | None = None) -> None:
    """Record the failure; the delay grows with each attempt, and is at least what the receiver asks for."""
    destination = SiemDestination.objects.defer("token").get(pk=pk)
    failures = destination.failures + 1
    wait = timedelta(seconds=min(2.0 ** min(failures, 10), LONGEST_WAIT_SECONDS))
    SiemDestination.objects.filter(pk=pk).update(
        error=sentence, failures=failures, failing_since=destination.failing_since or at,
        not_before=max(at + wait, until or at),
    )  # fmt: skip
