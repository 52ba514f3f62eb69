"""Retention: whole months past the policy go, audited; nothing else does."""

from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from audit import partitions, retention
from audit.models import AuditEntry
from tests.audit.builders import make_entries
from tests.conftest import Trail

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "at, months, name",
    [((2026, 3, 15), 1, "2026_02"), ((2026, 1, 1), 1, "2025_12"), ((2026, 3, 31), 24, "2024_03")],
)
def test_the_policy_counts_full_months(at: tuple[int, int, int], months: int, name: str) -> None:
    moment = datetime(*at, tzinfo=UTC)
    assert retention.oldest_kept(at=moment, months=months) == f"audit_entry_{name}"


def test_old_months_are_dropped_and_said_so_and_the_others_stay(trail: Trail) -> None:
    now = timezone.now()
    partitions.ensure(at=now, months_back=4)
    make_entries(50, until=now - timedelta(days=100), days=1)
    make_entries(20, until=now, days=1)
    before = AuditEntry.objects.count()
    planned = retention.expired(at=now, months=2)
    assert sum(month.rows for month in planned) == 50
    assert retention.expired(at=now, months=0) == []
    dropped = retention.prune(at=now, months=2)
    assert [month.name for month in dropped] == [month.name for month in planned]
    pruned = [entry for entry in trail() if entry.action == "audit.pruned"]
    assert sum(entry.data["rows"] for entry in pruned) == 50
    assert AuditEntry.objects.count() == before - 50 + len(dropped)
    assert retention.prune(at=now, months=2) == []
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('audit_entry_default') IS NOT NULL")
        assert cursor.fetchone()[0]


def test_the_command_tells_before_it_drops(settings: Any) -> None:
    settings.AUDIT_RETENTION_MONTHS = 2
    partitions.ensure(at=timezone.now(), months_back=4)
    said = StringIO()
    call_command("audit_prune", stdout=said)
    assert "would be dropped" in said.getvalue()
    call_command("audit_prune", "--apply", stdout=said)
    call_command("audit_prune", stdout=said)
    assert said.getvalue().endswith("2 full months are kept.\n")
