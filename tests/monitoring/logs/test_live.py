"""The same against a real server: runs when TEST_ELASTICSEARCH_URL or ELASTICSEARCH_URL names one."""

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import requests

from monitoring import connection_test
from monitoring.elasticsearch import QueryRefusedError
from monitoring.logs import search
from monitoring.logs.queries import LogQuery
from portal.core.models import Upstream
from tests.elastic import wire_line
from tests.factories import make_elasticsearch

SERVER = os.environ.get("TEST_ELASTICSEARCH_URL") or os.environ.get("ELASTICSEARCH_URL", "")
pytestmark = [
    pytest.mark.django_db,
    pytest.mark.stack,
    pytest.mark.skipif(
        not SERVER, reason="skipped: TEST_ELASTICSEARCH_URL names no Elasticsearch to ask."
    ),
]
NOW = datetime.now(UTC).replace(microsecond=0)
QUERY = LogQuery(NOW - timedelta(hours=1), NOW + timedelta(seconds=1))


def documents() -> list[dict[str, Any]]:
    """Return 30 lines, five of each moment; every tenth is an error."""
    return [
        wire_line(
            NOW - timedelta(seconds=n // 5), f"line {n}", **{"log.level": "error" if n % 10 == 0 else "info"}
        )
        for n in range(30)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def index() -> Iterator[str]:
    with index_of(documents()) as name:
        yield name


@pytest.fixture
def tied() -> Iterator[str]:
    """An index of three shards, all of whose lines have the same time."""
    lines, settings = [wire_line(NOW, f"line {n}") for n in range(350)], {"number_of_shards": 3}
    with index_of(lines, settings=settings) as name:
        yield name


@contextmanager
def index_of(documents: list[dict[str, Any]], **made_with: Any) -> Iterator[str]:
    name = f"portal-test-{uuid.uuid4().hex[:12]}"
    lines = "".join(f'{{"index": {{}}}}\n{json.dumps(each)}\n' for each in documents)
    headers = {"Content-Type": "application/x-ndjson"}
    address = f"{SERVER.rstrip('/')}/{name}"
    requests.put(address, json=made_with, timeout=30).raise_for_status()
    done = requests.post(f"{address}/_bulk?refresh=true", lines, headers=headers, timeout=30)
    try:
        assert done.ok, done.text
        assert not done.json()["errors"]
        yield name
    finally:
        requests.delete(address, timeout=30)


@pytest.fixture
def server(index: str) -> Upstream:
    parts = urlsplit(SERVER.rstrip("/"))
    known = {"username": unquote(parts.username or ""), "password": unquote(parts.password or "")}
    return make_elasticsearch(
        parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl(),
        credentials=known if parts.username else {}, options={"index": index},
    )  # fmt: skip


def test_the_connection_test_names_the_server(server: Upstream) -> None:
    assert "search" in connection_test.run(server, actor=None).sentence.lower()


def test_lines_histogram_and_filters(server: Upstream) -> None:
    found = search.search(QUERY)
    assert (found.total, found.exact, len(found.lines), found.notes) == (30, True, 30, ())
    assert sum(bucket.lines for bucket in found.buckets) == 30
    assert sum(bucket.bad for bucket in found.buckets) == 3
    for over, expected in (
        ({"text": '"line 7"'}, 1), ({"text": "line AND NOT 7"}, 29), ({"service": "shop"}, 30), ({"host": "web-2"}, 0),
        ({"levels": ("error",)}, 3),
    ):  # fmt: skip
        wanted = LogQuery(QUERY.since, QUERY.until, **over)
        assert search.search(wanted).total == expected, over


@pytest.mark.parametrize("mapping", [{}, {"type": "keyword"}], ids=["by itself", "keyword"])
def test_a_service_is_not_another_whose_name_begins_with_its_own(
    server: Upstream, mapping: dict[str, str]
) -> None:
    known = {"properties": {"service.name": mapping, "host.name": mapping}} if mapping else {}
    named = [wire_line(NOW, name, **{"service.name": name}) for name in ("shop", "shop-api")]
    with index_of(named, mappings=known) as name:
        server.options = {"index": name}
        server.save()
        for service in ("shop", "shop-api"):
            found = search.search(LogQuery(QUERY.since, QUERY.until, service=service)).lines
            assert [line.message for line in found] == [service]


def test_pages_lose_and_repeat_nothing(server: Upstream) -> None:
    seen, cursor = [], None
    for _ in range(20):
        found = search.search(QUERY, size=7, cursor=cursor)
        seen += [line.message for line in found.lines]
        cursor = found.next_cursor
        if cursor is None:
            break
    assert sorted(seen) == sorted(f"line {n}" for n in range(30))


def test_more_lines_of_one_moment_than_a_page_holds_are_all_found(
    server: Upstream, tied: str
) -> None:
    server.options = {"index": tied}
    server.save()
    seen, cursor = [], None
    for _ in range(20):
        found = search.search(QUERY, size=100, cursor=cursor)
        seen += [line.message for line in found.lines]
        cursor = found.next_cursor
        if cursor is None:
            break
    assert sorted(seen) == sorted(f"line {n}" for n in range(350))


def test_the_lines_around_one(server: Upstream) -> None:
    line = next(line for line in search.search(QUERY).lines if line.message == "line 12")
    around = search.context(line.id, lines=4)
    assert around is not None
    assert (len(around.before), len(around.after)) == (4, 4)
    assert {"line 12"}.isdisjoint(each.message for each in (*around.before, *around.after))


def test_a_malformed_query_is_refused_in_words(server: Upstream) -> None:
    with pytest.raises(QueryRefusedError, match="Failed to parse query"):
        search.search(LogQuery(QUERY.since, QUERY.until, text="level:("))
