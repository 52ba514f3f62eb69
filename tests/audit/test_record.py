"""`audit.record()`: one path, two copies, nothing hostile makes it fail, nothing can be changed."""

import json
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.conf import settings
from django.db import DatabaseError, connection, transaction

from audit import logfile, services
from audit.models import AuditEntry
from portal.core import request_context
from portal.core.models import Service
from tests.conftest import Trail
from tests.payloads.recorded import FOLDER

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "autocommit"])


def test_an_entry_is_a_row_and_a_line_with_the_same_uid() -> None:
    entry = services.record(
        "alert.acknowledged", target=services.Target("alerts.alert", "7", "HighCPU"), reason="seen"
    )
    row = AuditEntry.objects.get(uid=entry.uid)
    lines = logfile.path_for(entry.occurred_at).read_text().splitlines()
    line = next(json.loads(text) for text in lines if str(entry.uid) in text)
    assert (row.action, row.target_name, row.reason) == ("alert.acknowledged", "HighCPU", "seen")
    assert line["event.action"] == "alert.acknowledged"
    assert line["portal.target.name"] == "HighCPU"
    assert settings.AUDIT_LOG_DIR in str(logfile.path_for(entry.occurred_at))


@pytest.mark.parametrize(
    "statement",
    ["UPDATE audit_entry SET reason = ''", "DELETE FROM audit_entry", "TRUNCATE audit_entry"],
)
def test_the_database_refuses_to_change_entries(statement: str, trail: Trail) -> None:
    services.record("system.started")
    with (
        pytest.raises(DatabaseError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
    assert [entry.action for entry in trail()] == ["system.started"]


def test_a_rollback_erases_the_success_and_keeps_the_failure(trail: Trail) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        services.record("config.changed")
        services.record("permission.denied", outcome="failure", reason="not allowed")
        raise ZeroDivisionError
    assert [entry.action for entry in trail()] == ["permission.denied"]


def test_hostile_text_cannot_make_it_fail_and_secrets_do_not_reach_it() -> None:
    hostile = "a\x00b\ud800c\x1b[31m" + "x" * 100_000
    token = "dop_pat_" + "A" * 38
    data = {"password": "hunter2", hostile: hostile, "nan": float("nan"), "text": f"Bearer {token}"}
    entry = services.record(
        "input.rejected",
        target=services.Target(hostile, hostile, hostile),
        reason=hostile,
        data=data,
    )
    stored = AuditEntry.objects.get(uid=entry.uid)
    assert "hunter2" not in str(stored.data)
    assert token not in str(stored.data)
    assert "\x00" not in stored.reason
    assert len(stored.reason) <= 1000


def test_an_entry_says_where_its_address_lies(settings: Any) -> None:
    names = ("GeoLite2-Country-Test.mmdb", "GeoLite2-ASN-Test.mmdb", "bad-unicode-in-map-key.mmdb")
    settings.GEOIP_DATABASES = [str(FOLDER / "geoip" / name) for name in names]
    with request_context.use(request_context.Context(source_ip="1.0.0.1")):
        google = services.record("system.started")
    with request_context.use(request_context.Context(source_ip="2001:218::1")):
        japan = services.record("system.started", outcome="failure")
    places = AuditEntry.objects.filter(uid__in=[google.uid, japan.uid]).order_by("id")
    assert list(places.values_list("geo_country", "asn")) == [("", 15169), ("JP", None)]


def test_a_saved_model_leaves_its_diff(trail: Trail) -> None:
    service = Service.objects.create(slug="api", name="API")
    service.team = "payments"
    service.save()
    actions = [
        (e.action, e.changes.get("team")) for e in trail() if e.target_type == "core.service"
    ]
    assert actions == [("object.created", ["None", ""]), ("object.updated", ["", "payments"])]
    assert not LogEntry.objects.exists()  # which no retention would reach
