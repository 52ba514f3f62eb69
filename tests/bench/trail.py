"""The audit trail's list at five million entries: each filter, a page deep in the past, both doors."""

from collections.abc import Iterator
from urllib.parse import urlencode

from django.db import connection
from django.test import Client

from audit import changelist
from audit.models import AuditEntry
from portal import demo
from tests.bench.pages import visit
from tests.bench.table import Row
from tests.factories import sign_in

FEW, MANY = 10_000, 5_000_000
ADMIN, API = "/admin/audit/auditentry/", "/api/v1/audit/entries/"


def measure() -> Iterator[Row]:
    client = Client()
    sign_in(client)
    _empty()
    few = _filled(client, FEW)
    many = _filled(client, MANY)
    _empty()
    for name, (taken, queries) in many.items():
        least, before = few[name]
        times = f"{taken * 1000:.0f} ms", f"{least * 1000:.0f} ms at {FEW:,}"
        yield Row(f"{name} at {MANY:,} entries", *times, taken / least, 2)
        more = queries - before
        yield Row("  queries more", str(more), "0", more, 0, "queries")


def _filled(client: Client, count: int) -> dict[str, tuple[float, int]]:
    """Return the median seconds and the queries of every page, with so many entries in the trail."""
    demo.seed(demo.Sizes(alerts=100, audit_entries=count - AuditEntry.objects.count()))
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE audit_entry")
    return {name: visit(client, path) for name, path in _paths().items()}


def _empty() -> None:
    """Forget every entry, which only the superuser of a benchmark may."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("TRUNCATE audit_entry")
        cursor.execute("RESET session_replication_role")


def _paths() -> dict[str, str]:
    """Return the pages: the one in the middle begins after the entry whose number halves the trail."""
    first, last = AuditEntry.objects.earliest("id").pk, AuditEntry.objects.latest("id").pk
    middle = AuditEntry.objects.filter(id__gte=(first + last) // 2).order_by("id")[0]
    queries = {
        "audit list": {},
        "audit list, older, from the middle": {changelist.OLDER: changelist.place_of(middle)},
        "audit list, newer, from the middle": {changelist.NEWER: changelist.place_of(middle)},
        "audit list of an actor": {"actor": "demo-3"},
        "audit list of an address": {"source_ip": "192.0.2.7"},
        "audit list of a group, failed": {"group": "auth", "outcome": "failure"},
        "audit list until a moment in the past": {"until": middle.recorded_at.isoformat()},
        "audit list of a word that nothing has": {"q": "nobody-of-this-name"},
    }
    paths = {name: f"{ADMIN}?{urlencode(query)}" for name, query in queries.items()}
    return {**paths, "API: audit entries of an action": f"{API}?action=alert.acknowledged"}
