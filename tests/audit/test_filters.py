"""The filters of the trail: each finds what it says, by an index, and bad values are named."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.utils import timezone

from audit import filters, partitions, read_timeout
from audit.models import AuditEntry
from audit.services import Target, record
from portal.core import request_context
from tests.audit.builders import make_entries

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def known() -> AuditEntry:
    context = request_context.Context(
        request_id="1" * 32, trace_id=TRACE, source_ip="2001:db8::7", actor=request_context.Actor("user", "9", "berta"),
        impersonator=request_context.Actor("user", "1", "cleo"),
    )  # fmt: skip
    with request_context.use(context):
        return record(
            "config.changed",
            target=Target("core.service", "77"),
            outcome="unknown",
            data={"service": "till"},
        )


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "query",
    [
        {"q": "2001:db8:0::7"}, {"q": "1" * 32}, {"q": TRACE}, {"q": "berta"}, {"q": "77"}, {"actor": "berta"},
        {"impersonator": "cleo"}, {"last": "1h", "actor": "berta"},
        {"group": "config"}, {"action": "config.changed"}, {"outcome": "unknown"},
        {"target_type": "core.service", "target_id": "77"}, {"target_id": "77"}, {"service": "till"},
        {"source_ip": "2001:DB8::7"}, {"request_id": "1" * 32}, {"trace_id": TRACE},
        {"since": "2020-01-01", "actor": "berta"},
    ],
    ids=str,
)  # fmt: skip
def test_a_filter_finds_the_entry_and_its_opposite_does_not(
    known: AuditEntry, query: dict[str, str]
) -> None:
    assert known in list(filters.apply(filters.checked(query)))
    other = {
        name: "no.such" if name in ("action", "q", "actor") else value
        for name, value in query.items()
    }
    assert not filters.apply({**other, "until": "2020-01-01"}).exists()


@pytest.mark.parametrize(
    "query, sentence",
    [
        ({"actr": "x"}, "is not a filter"), ({"outcome": "maybe"}, "outcome"), ({"since": "yesterday"}, "since"),
        ({"group": "Auth%"}, "group"), ({"last": "3 weeks"}, "last"),
    ],
)  # fmt: skip
def test_what_is_no_filter_is_named(query: dict[str, str], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        filters.checked(query)


NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "since, fixed",
    [
        ("2026-03-01T11:30:00Z", "2026-03-01T11:30:00+00:00"),
        ("2026-03-01T06:30:00-05:00", "2026-03-01T11:30:00+00:00"),  # later, and a lesser text
        ("2026-03-01T14:30:00+05:00", "2026-03-01T11:00:00+00:00"),  # earlier, and a greater text
        ("2026-02-28", "2026-03-01T11:00:00+00:00"),
    ],
)
def test_the_later_of_two_beginnings_counts_in_whatever_zone(since: str, fixed: str) -> None:
    kept = filters.fixed({"last": "1h", "since": since, "group": "auth"}, at=NOON)
    assert kept.pop("group") == "auth"
    assert datetime.fromisoformat(kept.pop("since")) == datetime.fromisoformat(fixed)
    assert kept == {}


def nodes(plan: dict[str, Any]) -> list[str]:
    return [plan["Node Type"], *(n for inner in plan.get("Plans", []) for n in nodes(inner))]


@pytest.mark.django_db
def test_every_filter_is_served_by_an_index_at_size() -> None:
    now = timezone.now()
    partitions.ensure(at=now, months_back=2)
    make_entries(60_000, until=now)
    queries: list[dict[str, str]] = [
        {}, {"last": "24h"}, {"since": "2020-01-01"}, {"until": now.isoformat()}, {"action": "auth.login_failed"},
        {"action": "no.such"}, {"group": "auth"}, {"group": "nosuch"}, {"outcome": "failure"}, {"actor": "user-7"},
        {"impersonator": "user-7"},
        {"target_type": "core.service"}, {"target_type": "no.such"}, {"target_id": "9"}, {"service": "shop"},
        {"source_ip": "198.51.3.3"}, {"request_id": "1" * 32}, {"trace_id": TRACE}, {"q": "nobody"},
        {"q": TRACE}, {"q": "10.0.0.1"},
    ]  # fmt: skip
    for query in queries:
        plan = json.loads(filters.apply(query)[:51].explain(format="json"))[0]["Plan"]
        assert "Seq Scan" not in with_rows(plan), (query, plan)


def with_rows(plan: dict[str, Any]) -> list[str]:
    """Return the node types over tables that hold something; an empty partition costs nothing."""
    empty = plan["Node Type"] == "Seq Scan" and plan["Plan Rows"] <= 1
    own = [] if empty and not _rows_in(plan["Relation Name"]) else [plan["Node Type"]]
    return own + [n for inner in plan.get("Plans", []) for n in with_rows(inner)]


def _rows_in(table: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) > 1000 FROM {table}")  # noqa: S608 - a name from the plan
        return bool(cursor.fetchone()[0])


@pytest.mark.django_db
def test_a_read_that_takes_too_long_is_stopped_with_a_sentence() -> None:
    with (
        pytest.raises(read_timeout.ReadTimeoutError, match="Narrow it"),
        read_timeout.limited(1),
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT pg_sleep(20)")
