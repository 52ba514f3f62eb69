"""Dashboard and alert list: as fast, and with as many queries, at 100,000 episodes as at 100."""

import statistics
from collections.abc import Iterator

from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from portal import demo
from tests.bench.table import Row, seconds
from tests.factories import sign_in

PAGES = {
    "dashboard": "/admin/",
    "alert list, open": "/admin/alerts/alert/",
    "alert list, whole history": "/admin/alerts/alert/?state=all",
    "API: dashboard": "/api/v1/dashboard/",
    "API: alerts": "/api/v1/alerts/",
    "delivery log": "/admin/alerts/notification/",
    "audit list": "/admin/audit/auditentry/",
}
SMALL = demo.Sizes(alerts=100, audit_entries=1_000)
LARGE = demo.Sizes(alerts=100_000, audit_entries=1_000_000)


def measure() -> Iterator[Row]:
    client = Client()
    sign_in(client)
    demo.seed(SMALL)
    small = {name: visit(client, url) for name, url in PAGES.items()}
    demo.seed(LARGE)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    for name, url in PAGES.items():
        taken, queries = visit(client, url)
        base, few = small[name]
        times = f"{taken * 1000:.0f} ms", f"{base * 1000:.0f} ms at 100 episodes"
        yield Row(f"{name} at 100,000 episodes, 1,000,000 entries", *times, taken / base, 2)
        yield Row("  queries more than at 100", str(queries), str(few), queries - few, 0, "queries")


def visit(client: Client, url: str) -> tuple[float, int]:
    """Return the median time of a page and its number of queries."""

    def get() -> None:
        cache.clear()
        reply = client.get(url)
        assert reply.status_code == 200, (url, reply.status_code)

    get()
    with CaptureQueriesContext(connection) as queries:
        get()
    return statistics.median(seconds(get) for _ in range(9)), len(queries)
