"""Months of the trail: made ahead, each guarded, and a month that was missed stops no later one."""

import time
from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction

from audit import partitions
from audit.tasks import ensure_partitions
from tests.audit.builders import make_entries
from tests.conftest import Trail

pytestmark = pytest.mark.django_db
LATER = datetime(2040, 11, 15, tzinfo=UTC)
MUCH_LATER = datetime(2050, 1, 15, tzinfo=UTC)
MONTHS = [
    "audit_entry_2040_11",
    "audit_entry_2040_12",
    "audit_entry_2041_01",
    "audit_entry_2041_02",
]


def partition_of(moment: datetime) -> str:
    """Return where entries recorded at `moment` are."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT tableoid::regclass::text FROM audit_entry WHERE recorded_at = %s",
            [moment],
        )
        return str(cursor.fetchone()[0])


@pytest.mark.parametrize(
    "first, starts",
    [
        (date(2026, 2, 1), [date(2026, 2, 1), date(2026, 3, 1), date(2026, 4, 1)]),
        (date(2026, 11, 1), [date(2026, 11, 1), date(2026, 12, 1), date(2027, 1, 1)]),
    ],
)
def test_months_follow_each_other_over_the_year(first: date, starts: list[date]) -> None:
    assert partitions.month_starts(first, 3) == starts


def test_this_month_and_three_more_are_made_once() -> None:
    assert partitions.ensure(at=LATER) == MONTHS
    assert partitions.ensure(at=LATER) == []
    make_entries(1, until=LATER)
    assert partition_of(LATER) == MONTHS[0]


@pytest.mark.parametrize(
    "statement", ["UPDATE {} SET reason = ''", "DELETE FROM {}", "TRUNCATE {}"]
)
def test_a_partition_cannot_be_changed_behind_the_table(statement: str) -> None:
    partitions.ensure(at=LATER)
    make_entries(1, until=LATER)
    with (
        pytest.raises(DatabaseError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement.format(MONTHS[0]))


def test_an_entry_refers_to_nothing_that_could_take_it_along() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND conrelid::regclass::text LIKE 'audit_entry%'"
        )
        assert cursor.fetchone() == (0,)


def test_a_month_that_began_while_nothing_ran_stops_no_later_one() -> None:
    make_entries(1, until=LATER)
    assert partition_of(LATER) == "audit_entry_default"
    assert partitions.ensure(at=LATER) == MONTHS[1:]
    assert partitions.ensure(at=LATER) == []


@pytest.mark.django_db(transaction=True)
def test_a_long_reading_of_the_trail_is_not_waited_behind(another_connection: Any) -> None:
    another_connection.execute("BEGIN")
    another_connection.execute("SELECT count(*) FROM audit_entry")  # as an export holds it
    began = time.monotonic()
    assert partitions.ensure(at=MUCH_LATER) == []
    assert time.monotonic() - began < 10
    another_connection.execute("ROLLBACK")
    assert len(partitions.ensure(at=MUCH_LATER)) == 4


def test_the_tick_records_what_it_made(trail: Trail, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.tasks.timezone.now", lambda: LATER)
    for _ in range(2):
        ensure_partitions()
    (entry,) = (e for e in trail() if e.action == "audit.partitions_created")
    assert entry.data == {"partitions": MONTHS}


def test_a_start_after_a_long_rest_makes_its_month_first(
    monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Any
) -> None:
    settings.VAR_DIR = tmp_path
    monkeypatch.setattr("portal.preparation.timezone.now", lambda: LATER)
    call_command("prepare", only="migrations", verbosity=0)
    make_entries(1, until=LATER)
    assert partition_of(LATER) == MONTHS[0]
