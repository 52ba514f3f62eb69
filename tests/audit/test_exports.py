"""The export: the same cells as our other CSV, the hash of what was sent, and a trace of every end."""

import csv
import hashlib
import io
import os
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection
from django.test import Client
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from audit import export_sql, exports, services
from audit.export_models import ExportRecord, ExportState
from portal.core.csv import DANGEROUS, cell
from security import sessions
from tests.audit.builders import make_entries
from tests.conftest import Trail
from tests.factories import make_user, sign_in

pytestmark = pytest.mark.django_db(transaction=True)
URL = "/api/v1/audit/exports/"


def ask(client: Client, **query: str) -> int:
    answer = client.post(URL, {"query": query}, content_type="application/json")
    assert answer.status_code == 201, answer.content
    return int(answer.json()["id"])


def rows_of(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


def in_sql(text: str) -> str:
    with connection.cursor() as cursor:
        cell_of_t = export_sql.neutral("t")
        cursor.execute(f"SELECT {cell_of_t} FROM (SELECT %s::text) AS x (t)", [text])  # noqa: S608
        return str(cursor.fetchone()[0])


class TestCells(TestCase):
    @settings(max_examples=300, deadline=None)
    @given(st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=5))
    def test_postgresql_neutralises_what_python_does(self, text: str) -> None:
        assert in_sql(text) == cell(text)

    def test_every_dangerous_beginning_and_its_neighbours(self) -> None:
        firsts = [*DANGEROUS, *map(chr, range(1, 256)), "\uff0e", "'=", "−", "%", "\\", "]", "^"]
        for first in firsts:
            if first != "\x00":
                assert in_sql(f"{first}1+1") == cell(f"{first}1+1"), ascii(first)


@pytest.mark.django_db
@pytest.mark.parametrize("moment", ["2026-11-23T04:05:06Z", "2026-11-23T04:05:06.7Z"])
def test_moments_are_rfc_3339_in_utc(moment: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL timezone = 'Asia/Kolkata'")
        cell_of_time = export_sql._cell("occurred_at").rpartition(" AS ")[0]
        given = "SELECT %s::timestamptz"
        cursor.execute(f"SELECT {cell_of_time} FROM ({given}) AS x (occurred_at)", [moment])  # noqa: S608
        assert cursor.fetchone()[0] == moment


def test_the_file_has_the_filtered_entries_and_the_hash_of_its_bytes(
    client: Client, auditor: User, trail: Trail
) -> None:
    reason = '=HYPERLINK("http://x")\nsecond line, with é and "quotes"'
    for number in range(3):
        services.record(
            "secret.viewed", reason=reason, target=services.Target("vault", f"-{number}")
        )
    services.record("config.changed")
    pk = ask(client, action="secret.viewed", last="1h")
    answer = client.get(f"{URL}{pk}/download/")
    content = b"".join(answer.streaming_content)  # type: ignore[attr-defined]
    rows = [row for row in rows_of(content) if row["target_type"] == "vault"]
    assert {row["reason"] for row in rows} >= {f"'{reason}"}
    assert {"'-0", "'-1", "'-2"} <= {row["target_id"] for row in rows}
    assert rows[0]["recorded_at"].endswith("Z")
    assert rows[0]["recorded_at"] == max(row["recorded_at"] for row in rows)
    export = ExportRecord.objects.get(pk=pk)
    assert export.state == ExportState.COMPLETED
    assert export.sha256 == hashlib.sha256(content).hexdigest()
    assert (export.rows, export.bytes) == (len(rows_of(content)), len(content))
    assert "last" not in export.query
    start, end = (e for e in trail() if e.action.startswith("audit.export"))
    assert (start.action, end.action) == ("audit.export_started", "audit.exported")
    assert end.data["sha256"] == export.sha256
    assert (end.data["rows"], end.actor_name, end.source_ip) == (
        export.rows,
        auditor.username,
        "127.0.0.1",
    )


def test_an_export_of_a_service_concerns_it(client: Client, auditor: User, trail: Trail) -> None:
    pk = ask(client, service="shop")
    b"".join(client.get(f"{URL}{pk}/download/").streaming_content)  # type: ignore[attr-defined]
    (done,) = (e for e in trail() if e.action == "audit.exported")
    assert done.data["service"] == "shop"


def test_every_cell_stands_in_quotation_marks(client: Client, auditor: User) -> None:
    """Else a semicolon or tab within a text begins a cell where these are separators as well."""
    target = services.Target("semicolons", "a;=1+1;b", "a\t=1+1\tb")
    services.record("secret.viewed", target=target)
    pk = ask(client, target_type="semicolons")
    content = b"".join(client.get(f"{URL}{pk}/download/").streaming_content)  # type: ignore[attr-defined]
    assert b',"a;=1+1;b",' in content
    assert content.splitlines()[1].startswith(b'"')


def test_it_is_downloaded_once(client: Client, auditor: User) -> None:
    pk = ask(client, action="no.such")
    content = b"".join(client.get(f"{URL}{pk}/download/").streaming_content)  # type: ignore[attr-defined]
    assert content.decode().strip() == ",".join(export_sql.COLUMNS)
    assert client.get(f"{URL}{pk}/download/").status_code == 409


def test_a_client_that_goes_away_leaves_a_failure_and_no_running_copy(
    client: Client, auditor: User, trail: Trail
) -> None:
    make_entries(20_000, until=timezone.now(), days=1)
    export = exports.create({}, actor=auditor)
    blocks = exports.begin(export, actor=auditor)
    first = next(blocks)
    blocks.close()
    export.refresh_from_db()
    assert (export.state, export.bytes) == (ExportState.FAILED, len(first))
    assert "disconnected" in next(e.reason for e in trail() if e.action == "audit.export_failed")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY%' AND state = 'active'"
        )
        assert cursor.fetchone()[0] == 0


def test_a_cancelled_download_stops_and_says_so(
    client: Client, auditor: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_entries(20_000, until=timezone.now(), days=1)
    monkeypatch.setattr(exports, "BEAT_SECONDS", 0.0)
    export = exports.create({}, actor=auditor)
    blocks = exports.begin(export, actor=auditor)
    next(blocks)
    page = client.get(f"/admin/audit/exportrecord/{export.pk}/progress/").json()
    assert page["state"] == "running"
    assert page["rows"] > 100
    assert client.post(f"{URL}{export.pk}/cancel/").json()["state"] == "cancelled"
    with pytest.raises(exports.CancelledError):
        list(blocks)
    assert client.post(f"{URL}{export.pk}/cancel/").status_code == 409


def test_no_more_than_two_run_at_once_and_dead_ones_do_not_count(auditor: User) -> None:
    now = timezone.now()
    running: dict[str, Any] = {"state": "running", "estimated_rows": 1, "requested_by": "x"}
    first, _second = (ExportRecord.objects.create(heartbeat_at=now, **running) for _ in range(2))
    export = exports.create({"action": "no.such"}, actor=auditor)
    with pytest.raises(exports.BusyError):
        exports.begin(export, actor=auditor)
    ExportRecord.objects.filter(pk=first.pk).update(heartbeat_at=now - timedelta(minutes=3))
    assert exports.end_lost() == 1
    assert b"".join(exports.begin(export, actor=auditor)).startswith(b"uid,")


@pytest.mark.parametrize("off", [timedelta(hours=-1), timedelta(hours=1)], ids=["behind", "ahead"])
def test_a_machine_whose_clock_is_off_neither_loses_nor_keeps_an_export(
    auditor: User, monkeypatch: pytest.MonkeyPatch, off: timedelta
) -> None:
    make_entries(2_000, until=timezone.now(), days=1)
    export = exports.create({}, actor=auditor)
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(exports, "timezone", SimpleNamespace(now=lambda: timezone.now() + off))
        elsewhere.setattr(exports, "BEAT_SECONDS", 0)
        blocks = exports.begin(export, actor=auditor)
        next(blocks)
    assert exports.end_lost() == 0
    dead = {"heartbeat_at": timezone.now() - timedelta(minutes=3)}
    ExportRecord.objects.filter(pk=export.pk).update(**dead)
    monkeypatch.setattr(exports, "timezone", SimpleNamespace(now=lambda: timezone.now() + off))
    assert exports.end_lost() == 1
    blocks.close()


@pytest.mark.parametrize("end", ["pg_terminate_backend", "pg_cancel_backend"])
def test_a_database_that_ends_it_leaves_a_failure(auditor: User, trail: Trail, end: str) -> None:
    make_entries(20_000, until=timezone.now(), days=1)
    export = exports.create({}, actor=auditor)
    blocks = exports.begin(export, actor=auditor)
    next(blocks)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {end}(pid) FROM pg_stat_activity WHERE query LIKE 'COPY%' AND state = 'active'"  # noqa: S608
        )
    with pytest.raises(DatabaseError):
        list(blocks)
    export.refresh_from_db()
    assert export.state == ExportState.FAILED
    assert export.error.startswith("The database ended it: ")
    assert "audit.export_failed" in [entry.action for entry in trail()]


def test_an_export_ends_after_an_hour() -> None:
    with exports._own_cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("1h",)


def test_a_wrong_filter_is_refused(client: Client, auditor: User) -> None:
    answer = client.post(URL, {"query": {"actr": "x"}}, content_type="application/json")
    assert answer.status_code == 400
    assert "is not a filter" in answer.json()["detail"]


def test_an_old_code_is_asked_for_again(client: Client, auditor: User) -> None:
    session = client.session
    session[sessions.VERIFIED_AT] -= 3600
    session.save()
    assert client.post(URL, {"query": {}}, content_type="application/json").status_code == 403
    answer = client.post("/admin/audit/exportrecord/create/")
    assert "step-up" in answer["Location"]


def test_the_admin_asks_shows_and_sends(client: Client, auditor: User) -> None:
    page = client.get("/admin/audit/auditentry/", {"action": "config.changed"}).content.decode()
    assert "Export what is filtered as CSV" in page
    made = client.post("/admin/audit/exportrecord/create/", {"action": "config.changed"})
    export = ExportRecord.objects.get()
    assert made["Location"] == export.get_absolute_url()
    shown = client.get(made["Location"]).content.decode()
    assert "Download CSV" in shown
    sent = client.post(f"/admin/audit/exportrecord/{export.pk}/download/")
    assert b"".join(sent.streaming_content).startswith(b"uid,")  # type: ignore[attr-defined]
    export.refresh_from_db()
    assert export.sha256 in client.get(made["Location"]).content.decode()


def test_a_viewer_exports_nothing(client: Client) -> None:
    viewer = make_user(is_superuser=False)
    viewer.groups.add(Group.objects.get(name="viewer"))
    sign_in(client, viewer)
    assert client.post(URL, {"query": {}}, content_type="application/json").status_code == 403
    assert client.post("/admin/audit/exportrecord/create/").status_code == 403
    assert ExportRecord.objects.count() == 0


def test_the_command_writes_the_same_and_says_its_hash(
    tmp_path: Path, trail: Trail, capsys: pytest.CaptureFixture[str]
) -> None:
    services.record("secret.viewed", target=services.Target("vault", "1"))
    services.record("config.changed")
    path = tmp_path / "trail.csv"
    call_command(
        "audit_export", str(path), "--filter", "action=secret.viewed", "--filter", "last=1h"
    )
    content, export = path.read_bytes(), ExportRecord.objects.get()
    assert {row["action"] for row in rows_of(content)} == {"secret.viewed"}
    assert export.sha256 == hashlib.sha256(content).hexdigest()
    assert export.sha256 in capsys.readouterr().err
    assert (path.stat().st_mode & 0o777, [each.name for each in tmp_path.iterdir()]) == (
        0o600,
        ["trail.csv"],
    )
    assert "audit.exported" in [entry.action for entry in trail()]


def test_the_command_writes_into_no_file_that_somebody_laid_in_its_way(tmp_path: Path) -> None:
    bait = tmp_path / "bait"
    bait.touch(mode=0o644)
    (tmp_path / "trail.csv.part").symlink_to(bait)
    call_command("audit_export", str(tmp_path / "trail.csv"))
    assert bait.read_bytes() == b""
    assert (tmp_path / "trail.csv").stat().st_mode & 0o777 == 0o600


def test_the_command_writes_to_the_screen(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    call_command("audit_export", "--filter", "action=no.such")
    said = capfdbinary.readouterr().out
    assert said.startswith(b"uid,occurred_at,recorded_at")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--filter", "group"], "Write NAME=VALUE"), (["--filter", "actr=x"], "is not a filter"),
        (["--filter", "since=yesterday"], "since"), (["/proc/no/such/file"], "cannot be written: No such file"),
    ],
)  # fmt: skip
def test_the_command_says_what_is_wrong(words: list[str], sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        call_command("audit_export", *words)
    assert not ExportRecord.objects.exists()


def test_a_full_disk_leaves_no_half_file_and_an_entry(
    tmp_path: Path, trail: Trail, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_entries(5_000, until=timezone.now(), days=1)
    opened = os.open

    def full(path: Any, *args: Any) -> int:
        return opened(
            *(("/dev/full", os.O_WRONLY) if str(path).endswith(".part") else (path, *args))
        )

    monkeypatch.setattr("os.open", full)
    with pytest.raises(CommandError, match="No space left on device"):
        call_command("audit_export", str(tmp_path / "trail.csv"))
    assert list(tmp_path.iterdir()) == []
    assert "audit.export_failed" in [entry.action for entry in trail()]
