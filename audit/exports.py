"""Creates exports of the trail; each is streamed once, directly from COPY, with a hash, and is audited.

Only a row that describes what was sent is stored, not the data. A download uses a separate database
connection, so that the COPY ends with it, however it ends.
"""

import hashlib
import logging
import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from itertools import islice
from typing import Any

from django.db import DatabaseError, connection, connections, transaction
from django.utils import timezone

from audit import export_sql, filters, services
from audit.export_models import ExportRecord, ExportState
from audit.models import ClockTimestamp
from portal.core import request_context

log = logging.getLogger(__name__)
AT_ONCE = 2
LONGEST_SECONDS = 3600
BEAT_SECONDS = 1.0
STALE = timedelta(minutes=2)
# By the database's clock, because the sender and the search for lost downloads may run on different machines.
BEAT = ClockTimestamp()
BLOCK_ROWS = 256
_LOCK = 0x61756469  # key of the advisory lock; any number that is not used elsewhere


class BusyError(Exception):
    """The maximum number of exports is already running."""


class SpentError(Exception):
    """The export was already downloaded, or has ended."""


class CancelledError(Exception):
    """The export was cancelled while it was running."""


def create(query: Mapping[str, Any], *, actor: Any) -> ExportRecord:
    """Create an export. Raises ValidationError for an invalid filter."""
    kept = filters.fixed(filters.checked(query), at=timezone.now())
    return ExportRecord.objects.create(
        requested_by=services.actor_of(actor).name,
        query=kept,
        estimated_rows=export_sql.estimated_rows(kept),
    )


def begin(export: ExportRecord, *, actor: Any) -> Generator[bytes, None, None]:
    """Claim the export, and return its bytes as a stream. Raises BusyError, SpentError."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        running = ExportRecord.objects.filter(state=ExportState.RUNNING)
        if running.filter(heartbeat_at__gte=BEAT - STALE).count() >= AT_ONCE:
            raise BusyError(
                f"{AT_ONCE} exports are already running. Wait until one of them has ended."
            )
        changes = {"state": ExportState.RUNNING, "started_at": timezone.now(), "heartbeat_at": BEAT}
        claimed = ExportRecord.objects.filter(pk=export.pk, state=ExportState.WAITING)
        if not claimed.update(**changes):
            raise SpentError(
                "This export has already been downloaded or has ended. Create a new one."
            )
        facts = {"query": export.query, "estimated_rows": export.estimated_rows}
        services.record("audit.export_started", actor=actor, target=export, data=facts)
    return _Download(export, actor).stream()


class _Download:
    """Streams the bytes of one export, and records the result."""

    def __init__(self, export: ExportRecord, actor: Any) -> None:
        self.export, self.actor = export, services.actor_of(actor)
        self.context = request_context.current()  # the request ends before the stream does
        self.digest, self.bytes, self.rows = hashlib.sha256(), 0, 0
        self.beaten_at = time.monotonic()

    def stream(self) -> Generator[bytes, None, None]:
        """Yield the CSV. However it ends, the result is written to the row and the trail."""
        try:
            with _own_cursor() as cursor:
                with cursor.copy(*export_sql.copy_statement(self.export.query)) as rows:
                    for block, count in _blocks(rows):
                        self._count(block, count)
                        yield block
                self.rows = cursor.rowcount  # the exact number, from PostgreSQL
        except GeneratorExit:
            self._end(ExportState.FAILED, "The client disconnected before the end.")
            raise
        except CancelledError:
            self._end(ExportState.CANCELLED, "Cancelled while it was running.")
            raise
        except DatabaseError as error:
            log.error("An export of the audit trail broke off: %s", error)
            self._end(ExportState.FAILED, f"The database ended it: {error}")
            raise
        self._end(ExportState.COMPLETED, "")

    def _count(self, block: bytes, rows: int) -> None:
        self.digest.update(block)
        self.bytes, self.rows = self.bytes + len(block), self.rows + rows
        if time.monotonic() - self.beaten_at >= BEAT_SECONDS:
            self.beaten_at = time.monotonic()
            facts = {"rows": self.rows, "bytes": self.bytes, "heartbeat_at": BEAT}
            running = ExportRecord.objects.filter(pk=self.export.pk, state=ExportState.RUNNING)
            if not running.update(**facts):
                raise CancelledError

    @transaction.atomic
    def _end(self, state: ExportState, reason: str) -> None:
        now, is_whole = timezone.now(), state == ExportState.COMPLETED
        sha256 = self.digest.hexdigest() if is_whole else ""
        facts = {"rows": self.rows, "bytes": self.bytes, "sha256": sha256}
        ExportRecord.objects.filter(pk=self.export.pk).update(
            state=state, error=reason, finished_at=now, heartbeat_at=BEAT, **facts
        )
        named = services.service_data(self.export.query.get("service", ""))
        data = {"query": self.export.query, **named, **facts}
        with request_context.use(self.context):
            if is_whole:
                services.record("audit.exported", actor=self.actor, target=self.export, data=data)
            else:
                services.record(
                    "audit.export_failed", actor=self.actor, target=self.export, data=data,
                    outcome="failure", reason=reason,
                )  # fmt: skip


@contextmanager
def _own_cursor() -> Iterator[Any]:
    """Open a connection for one export; closing it stops the COPY at once."""
    own = connections.create_connection("default")
    try:
        # COPY raises psycopg's exceptions, because Django wraps only those of other statements.
        with own.wrap_database_errors, own.cursor() as cursor:
            cursor.execute(
                "SELECT set_config('statement_timeout', %s, false), set_config('TimeZone', 'UTC', false),"
                " set_config('DateStyle', 'ISO', false)",
                [f"{LONGEST_SECONDS}s"],
            )
            yield cursor
    finally:
        own.close()


def _blocks(rows: Iterable[Any]) -> Iterator[tuple[bytes, int]]:
    """Join rows into blocks; yield each with its number of rows, including the header."""
    source, header = iter(rows), 1
    while pending := list(islice(source, BLOCK_ROWS)):  # no Python code per row
        yield b"".join(pending), len(pending) - header
        header = 0


def cancel(export: ExportRecord, *, actor: Any) -> bool:
    """Cancel a waiting or running export; False when it has already ended."""
    open_ones = ExportRecord.objects.filter(
        pk=export.pk, state__in=[ExportState.WAITING, ExportState.RUNNING]
    )
    with transaction.atomic():
        facts = {
            "state": ExportState.CANCELLED,
            "finished_at": timezone.now(),
            "error": "Cancelled.",
        }
        if not open_ones.update(**facts):
            return False
        services.record("audit.export_cancelled", actor=actor, target=export)
    return True


def end_lost() -> int:
    """Mark downloads whose process died as failed; return how many."""
    running = ExportRecord.objects.filter(state=ExportState.RUNNING)
    lost = running.filter(heartbeat_at__lt=BEAT - STALE)
    reason = "The process that was sending it has ended."
    ended = 0
    for export in lost:
        still = lost.filter(pk=export.pk, heartbeat_at=export.heartbeat_at)
        if still.update(state=ExportState.FAILED, finished_at=timezone.now(), error=reason):
            data = {"query": export.query, "rows": export.rows, "bytes": export.bytes}
            services.record(
                "audit.export_failed", target=export, data=data, outcome="failure", reason=reason
            )
            ended += 1
    return ended
