"""The trail: an export beside the plain COPY of the same columns, and writing beside a plain table."""

import hashlib
import statistics
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

from django.db import connection, connections
from django.db.models import sql
from django.utils import timezone

from audit import export_sql, exports, partitions, services
from audit.models import AuditEntry
from tests.audit.builders import make_entries
from tests.bench.table import Row, ratio, side_by_side

ENTRIES = 1_000_000
WRITERS, SECONDS, ROUNDS = 16, 3.0, 5


def measure() -> Iterator[Row]:
    yield from _inserts()
    now = timezone.now()
    partitions.ensure(at=now, months_back=2)
    make_entries(ENTRIES, until=now)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE audit_entry")
    count = AuditEntry.objects.count()
    times = side_by_side(_export, _plain_copy, rounds=3)
    yield ratio(f"CSV export of {count:,} entries", times, 1.5, floor="plain COPY, same columns")
    peak = _peak_megabytes()
    yield Row("  its memory, whole process", f"{peak:.0f} MB", "", peak, 150, "MB")


def _inserts() -> Iterator[Row]:
    """16 writers that each commit every entry: the trail beside a plain table with the same row."""
    partitions.ensure(at=timezone.now())
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS bench_plain")
        # The same row and the same ways to find it, without partitions, trigger and order of the stream.
        cursor.execute("CREATE TABLE bench_plain (LIKE audit_entry INCLUDING ALL)")
        cursor.execute("ALTER TABLE bench_plain DROP COLUMN txid")
    statement, parameters = _insert_of(services.build("config.changed", reason="x" * 60))
    plain = statement.replace("audit_entry", "bench_plain")
    rates: dict[str, list[float]] = {statement: [], plain: []}
    for _ in range(ROUNDS):
        for table, found in rates.items():
            found.append(_rate(table, parameters))
    ours, floor = (statistics.median(found) for found in rates.values())
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE bench_plain")
    yield Row(
        f"audit entries of {WRITERS} writers, each committed", f"{ours:,.0f}/s", f"{floor:,.0f}/s plain table",
        (floor / ours - 1) * 100, 15, "%",
    )  # fmt: skip


def _insert_of(entry: AuditEntry) -> tuple[str, Any]:
    """Return the INSERT that Django makes of an entry, and its parameters."""
    fields = [
        field
        for field in AuditEntry._meta.local_concrete_fields
        if field.name not in ("id", "recorded_at")
    ]
    query = sql.InsertQuery(AuditEntry)
    query.insert_values(fields, [entry])
    return query.get_compiler(connection=connection).as_sql()[0]  # type: ignore[no-any-return]


def _rate(statement: str, parameters: Any) -> float:
    """Return the commits per second of all writers together."""
    gate, counts = threading.Barrier(WRITERS + 1), [0] * WRITERS
    ends: list[float] = []

    def writer(number: int) -> None:
        own = connections.create_connection("default")
        with own.cursor() as cursor:
            gate.wait()
            while time.perf_counter() < ends[0]:
                cursor.execute(statement, [uuid.uuid4(), *parameters[1:]])
                counts[number] += 1
        own.close()

    threads = [threading.Thread(target=writer, args=(number,)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    ends.append(time.perf_counter() + SECONDS)
    gate.wait()
    for thread in threads:
        thread.join()
    return sum(counts) / SECONDS


def _export() -> None:
    export = exports.create({}, actor=None)
    digest = hashlib.sha256()
    for block in exports.begin(export, actor=None):
        digest.update(block[:1])
    export.refresh_from_db()
    assert export.rows >= ENTRIES
    assert export.state == "completed"


def _plain_copy() -> None:
    columns = ", ".join(export_sql.COLUMNS)
    statement = (
        f"COPY (SELECT {columns} FROM audit_entry ORDER BY recorded_at DESC, id DESC)"  # noqa: S608
        " TO STDOUT (FORMAT csv)"
    )
    with connection.cursor() as cursor, cursor.copy(statement) as rows:
        for _ in rows:
            pass


def _peak_megabytes() -> float:
    """Return the peak memory of a fresh process that makes the export."""
    code = (
        "import django, pathlib, re; django.setup()\n"
        "from tests.bench import audit; audit._export()\n"
        "print(re.search(r'VmHWM:\\s+(\\d+)', pathlib.Path('/proc/self/status').read_text())[1])"
    )  # not ru_maxrss: that begins with the parent's
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1]) / 1024
