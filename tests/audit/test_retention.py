"""Retention: whole months past the policy go, audited; nothing else does."""

from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from audit import partitions, readers, retention, stream
from audit.models import AuditEntry
from audit.readers import Reader
from audit.stream import Position
from tests.audit.builders import make_entries
from tests.conftest import Trail

pytestmark = pytest.mark.django_db


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> list[Reader]:
    """Return the readers that retention asks, to be changed by the test."""
    found: list[Reader] = []
    monkeypatch.setattr(readers, "_finders", {"test": lambda: found})
    return found


@pytest.mark.parametrize(
    "at, months, name",
    [((2026, 3, 15), 1, "2026_02"), ((2026, 1, 1), 1, "2025_12"), ((2026, 3, 31), 24, "2024_03")],
)
def test_the_policy_counts_full_months(at: tuple[int, int, int], months: int, name: str) -> None:
    moment = datetime(*at, tzinfo=UTC)
    assert retention.oldest_kept(at=moment, months=months) == f"audit_entry_{name}"


def test_old_months_are_dropped_and_said_so_and_the_others_stay(
    trail: Trail, reader: list[Reader]
) -> None:
    now = timezone.now()
    partitions.ensure(at=now, months_back=4)
    make_entries(50, until=now - timedelta(days=100), days=1)
    make_entries(20, until=now, days=1)
    before = AuditEntry.objects.count()
    planned = retention.expired(at=now, months=2)
    assert sum(month.rows for month in planned) == 50
    assert retention.expired(at=now, months=0) == []
    dropped = retention.prune(at=now, months=2).dropped
    assert [month.name for month in dropped] == [month.name for month in planned]
    pruned = [entry for entry in trail() if entry.action == "audit.pruned"]
    assert sum(entry.data["rows"] for entry in pruned) == 50
    assert AuditEntry.objects.count() == before - 50 + len(dropped)
    assert retention.prune(at=now, months=2) == retention.Pruning([], [])
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('audit_entry_default') IS NOT NULL")
        assert cursor.fetchone()[0]


@pytest.mark.usefixtures("reader")
def test_the_command_tells_before_it_drops(settings: Any) -> None:
    settings.AUDIT_RETENTION_MONTHS = 2
    partitions.ensure(at=timezone.now(), months_back=4)
    said = StringIO()
    call_command("audit_prune", stdout=said)
    assert "would be dropped" in said.getvalue()
    call_command("audit_prune", "--apply", stdout=said)
    call_command("audit_prune", stdout=said)
    assert said.getvalue().endswith("2 full months are kept.\n")


def test_a_month_that_a_reader_lacks_is_kept_and_said_once_a_day(
    trail: Trail, reader: list[Reader]
) -> None:
    now = timezone.now()
    partitions.ensure(at=now, months_back=4)
    start = stream.horizon()
    make_entries(50, until=now - timedelta(days=100), days=1)
    reader += [Reader("the SIEM destination a", start), Reader("the rules", Position(2**40))]
    for _ in range(2):
        done = retention.prune(at=now, months=2)
    (kept,) = [month for month in done.kept if month.rows == 50]
    assert kept.unread_by == ("the SIEM destination a",)
    assert retention.holding(at=now, months=2) == {"the SIEM destination a": [kept.name]}
    said = [entry for entry in trail() if entry.action == "audit.prune_withheld"]
    assert [entry.target_id for entry in said] == [kept.name]
    assert "not read yet by the SIEM destination a" in said[0].reason
    reader.pop(0)
    assert kept.name in [month.name for month in retention.prune(at=now, months=2).dropped]


def test_the_command_says_for_whom_a_month_stays(settings: Any, reader: list[Reader]) -> None:
    settings.AUDIT_RETENTION_MONTHS = 2
    partitions.ensure(at=timezone.now(), months_back=4)
    reader.append(Reader("the SIEM destination a", Position()))
    make_entries(5, until=timezone.now() - timedelta(days=100), days=1)
    for words in ((), ("--apply",)):
        said = StringIO()
        call_command("audit_prune", *words, stdout=said)
        assert "5 entries kept, because not read yet by the SIEM destination a" in said.getvalue()
