"""50,000 issues of a Sentry: read for the first time, then read again with nothing changed."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import requests
from django.db import connection

from monitoring.errors.links import next_query
from monitoring.models import ErrorIssue, ErrorSync
from monitoring.tasks import poll_upstream
from portal.core.models import Upstream
from tests.bench.table import Row, ratio, side_by_side
from tests.factories import make_sentry
from tests.sentry import TOKEN

ISSUES = 50_000
TABLES = (
    "monitoring_errorissue, monitoring_errortransition, monitoring_errortally, monitoring_errorsync"
)


def measure() -> Iterator[Row]:
    with _server() as url:
        upstream = make_sentry(url, live=False)

        def floor() -> None:
            assert _fetch_and_decode(url) == ISSUES

        times = side_by_side(lambda: _whole(upstream), floor, rounds=3, reset=_empty)
        ours, base = (f"{taken * 1000:.0f} ms" for taken in times)
        yield Row(
            f"first synchronisation of {ISSUES:,} issues", ours, f"{base} fetch and JSON decode",
            ISSUES / times[0], 2000, "issues/s", True,
        )  # fmt: skip
        _whole(upstream)
        before = _written()
        times = side_by_side(lambda: _whole(upstream), floor, rounds=5)
        yield ratio("  again, unchanged", times, 1.5, floor="fetch and JSON decode")
        changed = _written() - before
        yield Row("  rows written but freshness", str(changed), "0", changed, 0, "rows")
    _empty()
    upstream.delete()


def _whole(upstream: Upstream) -> None:
    """Poll with the reading of the whole list due."""
    ErrorSync.objects.filter(upstream=upstream).update(full_completed_at=None)
    poll_upstream(upstream.pk)
    assert ErrorIssue.objects.count() == ISSUES
    assert ErrorSync.objects.get().full_completed_at is not None


def _fetch_and_decode(url: str) -> int:
    """The least that learns the same: every page, one after the other, as decoded JSON."""
    session = requests.Session()
    session.headers.update({"Authorization": f"Bearer {TOKEN}", "Accept-Encoding": "identity"})
    path, query, count = f"{url}/api/0/organizations/acme/issues/", "sort=date&limit=100", 0
    while query:
        reply = session.get(f"{path}?{query}", timeout=60)
        count += len(json.loads(reply.content))
        query = next_query(reply.headers["Link"]) or ""
    return count


def _written() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute(
            "SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0) FROM pg_stat_user_tables"
            " WHERE relname = ANY(%s)",
            [["monitoring_errorissue", "monitoring_errortransition", "monitoring_errortally"]],
        )
        return int(cursor.fetchone()[0])


def _empty() -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {TABLES}")


@contextmanager
def _server() -> Iterator[str]:
    """Serve the issues from a process of its own, so that both sides wait for it alike."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(ISSUES)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ},
    )  # fmt: skip
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(10)


SERVER = """
import sys
from tests.sentry import fake_sentry, wire_issue
with fake_sentry() as fake:
    fake.add(*(wire_issue(n) for n in range(1, int(sys.argv[1]) + 1)))
    fake.keep_pages()
    print(fake.url, flush=True)
    sys.stdin.read()
"""
