"""The second copy of the trail: no line is lost or torn by many processes, and a full disk loses no row."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from audit import logfile, services
from audit.models import AuditEntry
from portal.core.embedded.places import BASE_DIR

PROCESSES, LINES = 8, 150
MOMENT = datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC)
WRITER = """
import sys
from datetime import UTC, datetime
from django.conf import settings
settings.configure(AUDIT_LOG_DIR=sys.argv[1])
from audit import logfile
at = datetime(2026, 3, 1, tzinfo=UTC)
sys.stdin.read()
for number in range(int(sys.argv[3])):
    assert logfile.write({"writer": sys.argv[2], "number": number, "text": "x" * (number * 97 % 9000)}, at=at)
"""


def written(folder: Path) -> list[dict[str, Any]]:
    (file,) = folder.glob("*.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_eight_processes_lose_and_tear_no_line(tmp_path: Path) -> None:
    """TimedRotatingFileHandler was measured to lose most of them."""
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    writers = [
        subprocess.Popen([*command, str(n), str(LINES)], cwd=BASE_DIR, stdin=subprocess.PIPE)
        for n in range(PROCESSES)
    ]
    for writer in writers:  # all begin when all are there
        assert writer.stdin is not None
        writer.stdin.close()
    assert [writer.wait(60) for writer in writers] == [0] * PROCESSES
    lines = written(tmp_path)
    expected = {(str(n), number) for n in range(PROCESSES) for number in range(LINES)}
    assert {(line["writer"], line["number"]) for line in lines} == expected
    assert len(lines) == len(expected)
    assert all(len(line["text"]) == line["number"] * 97 % 9000 for line in lines)


def test_a_line_that_the_disk_took_half_of_is_counted_and_said(
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings.AUDIT_LOG_DIR = str(tmp_path)
    real, before = os.write, logfile.FAILURES._value.get()
    monkeypatch.setattr(os, "write", lambda fd, line: real(fd, line[: len(line) // 2]))
    assert not logfile.write_all([{"n": 1}, {"n": 2}], at=MOMENT)
    assert logfile.FAILURES._value.get() == before + 2
    assert "2 audit lines could not be written" in caplog.text


def test_each_day_has_a_file_of_its_own(settings: Settings, tmp_path: Path) -> None:
    settings.AUDIT_LOG_DIR = str(tmp_path / "audit")
    for seconds in (0, 1):
        assert logfile.write({"n": seconds}, at=MOMENT + timedelta(seconds=seconds))
    names = sorted(path.name for path in (tmp_path / "audit").iterdir())
    assert names == ["audit-2026-03-01.jsonl", "audit-2026-03-02.jsonl"]
    assert (tmp_path / "audit" / names[0]).stat().st_mode & 0o777 == 0o640


def test_nothing_in_an_entry_breaks_or_forges_a_line() -> None:
    line = logfile.encode({"reason": 'a\nb\r\u2028"}{"event.action": "forged"}\ud800'})
    assert line.count(b"\n") == 1
    assert line.isascii()
    assert "forged" in json.loads(line)["reason"]


def test_a_long_entry_keeps_who_did_what() -> None:
    fields = {
        "event.action": "object.updated",
        "portal.data": "x" * 40_000,
        "portal.changes": {"a": 1},
    }
    line = logfile.encode(fields)
    assert len(line) <= logfile.LINE_LIMIT_BYTES
    assert json.loads(line) == {"event.action": "object.updated", "portal.truncated": True}


@pytest.mark.django_db
def test_a_file_that_cannot_be_written_loses_no_row_and_is_counted(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.AUDIT_LOG_DIR = "/proc/nowhere"
    before = logfile.FAILURES._value.get()
    entry = services.record("system.started")
    assert AuditEntry.objects.filter(uid=entry.uid).exists()
    assert logfile.FAILURES._value.get() == before + 1
    assert "correct AUDIT_LOG_DIR" in caplog.text
