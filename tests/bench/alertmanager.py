"""A real Alertmanager with 10,000 alerts: unchanged poll, all-new poll, memory of a worker."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import requests
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from alerts import episodes, payloads, rows
from alerts.models import Alert
from alerts.payloads import ListedAlert
from monitoring.tasks import poll_upstream
from portal.core.catalogue import Catalogue
from portal.core.models import Upstream
from tests.bench.table import Row, ratio, side_by_side
from tests.fakes import stamp, wire_alert
from tests.stack import push, real_alertmanager

ALERTS = 10_000


def measure() -> Iterator[Row]:
    with real_alertmanager() as url:
        end = stamp(datetime.now(UTC) + timedelta(hours=6))
        push(url, [wire_alert(n, endsAt=end) for n in range(ALERTS)])
        upstream = Upstream.objects.create(name="bench", kind="alertmanager", url=url)
        poll_upstream(upstream.pk)
        assert Alert.objects.count() == ALERTS
        yield from _unchanged(upstream)
        yield from _all_new(upstream)
        yield _memory(upstream)
    upstream.alerts.all().delete()
    upstream.delete()


def _unchanged(upstream: Upstream) -> Iterator[Row]:
    plain = {"Accept-Encoding": "identity"}

    def floor() -> None:
        json.loads(requests.get(f"{upstream.url}/api/v2/alerts", headers=plain, timeout=60).content)

    poll_upstream(upstream.pk)
    before = _written()
    times = side_by_side(lambda: poll_upstream(upstream.pk), floor)
    yield ratio(
        f"unchanged poll of {ALERTS:,} alerts, in the task", times, 1.5, floor="GET + JSON decode"
    )
    yield Row(
        "  rows written but freshness",
        str(_written() - before),
        "0",
        _written() - before,
        0,
        "rows",
    )
    with CaptureQueriesContext(connection) as queries:
        poll_upstream(upstream.pk)
    yield Row("  SQL statements", str(len(queries)), "", len(queries), 6, "statements")


def _written() -> int:
    """Return how many row versions were ever written outside the upstreams' own table."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute(
            "SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0) FROM pg_stat_user_tables"
            " WHERE relname <> 'core_upstream' AND relname NOT LIKE 'alerts_incoming%'"
        )
        return int(cursor.fetchone()[0])


def _all_new(upstream: Upstream) -> Iterator[Row]:
    body = requests.get(f"{upstream.url}/api/v2/alerts", timeout=60).content
    listed, _bad = payloads.listed_alerts(body)
    new = [rows.of_listed(alert, Catalogue.load()) for alert in listed]
    with connection.cursor() as cursor:
        cursor.execute(FLOOR_TABLE)

    def ours() -> None:
        with transaction.atomic():
            episodes.insert(upstream.pk, new, source="poll", at=datetime.now(UTC))

    times = side_by_side(ours, lambda: _copy_and_merge(listed), reset=_empty)
    yield ratio(
        f"all-new poll of {ALERTS:,}, rows and transitions, database step",
        times,
        3,
        floor="COPY and merge",
    )
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE bench_floor")


FLOOR_TABLE = """
CREATE TABLE bench_floor (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, source bigint, fingerprint text, hash bytea, name text,
    severity text, labels jsonb, annotations jsonb, starts_at timestamptz, state text, UNIQUE (source, fingerprint)
);
CREATE INDEX ON bench_floor (starts_at);
CREATE INDEX ON bench_floor (severity, state);
"""


def _copy_and_merge(listed: list[ListedAlert]) -> None:
    """The least that stores the same alerts: one table, two further indexes, no history."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMPORARY TABLE incoming (fingerprint text, hash bytea, name text, severity text, labels jsonb,"
            " annotations jsonb, starts_at timestamptz, state text) ON COMMIT DROP"
        )
        with cursor.copy("COPY incoming FROM STDIN") as copy:
            for a in listed:
                copy.write_row((
                    a.fingerprint, payloads.content_hash(a), a.labels["alertname"], a.labels["severity"],
                    json.dumps(a.labels), json.dumps(a.annotations), a.startsAt, "firing",
                ))  # fmt: skip
        cursor.execute(
            "INSERT INTO bench_floor (source, fingerprint, hash, name, severity, labels, annotations, starts_at, state)"
            " SELECT 1, * FROM incoming ON CONFLICT (source, fingerprint) DO NOTHING"
        )


def _empty() -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE alerts_alert, alerts_transition, bench_floor CASCADE")


def _memory(upstream: Upstream) -> Row:
    """Poll everything new and again unchanged in a process that has loaded what a worker loads."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE alerts_alert, alerts_transition CASCADE")
    environment = {**os.environ, "LOG_LEVEL": "ERROR"}
    done = subprocess.run(
        [sys.executable, "-c", WORKER, str(upstream.pk)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert facts["alerts"] == ALERTS
    return Row(
        f"peak memory of a worker polling {ALERTS:,}",
        f"{facts['mb']:.0f} MB",
        "",
        facts["mb"],
        200,
        "MB",
    )


WORKER = """
import json, pathlib, re, sys
import django
django.setup()
from portal.celery import app
app.loader.import_default_modules()
from alerts.models import Alert
from monitoring.tasks import poll_upstream
for _ in range(5):
    poll_upstream(int(sys.argv[1]))
# Not ru_maxrss: that begins with the parent's.
peak = int(re.search(r"VmHWM:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1])
print(json.dumps({"mb": peak / 1024, "alerts": Alert.objects.count()}))
"""
