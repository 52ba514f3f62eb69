"""The authentication log, read by Debian's own fail2ban-regex with the filter that is shipped."""

import re
import shutil
import subprocess
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from portal.core.embedded.places import BASE_DIR
from security import authlog
from tests.debian_programs import program
from tests.factories import make_user
from tests.stack import until

SHIPPED = BASE_DIR / "docker" / "fail2ban"
FILTER = SHIPPED / "filter.d" / "devops-portal.conf"
LINE = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z devops-portal\[\d+\]: "
    r'auth-failure ip=\S+ reason=[a-z_]+ path=\S+ user="[^\n]*"\n'
)


@pytest.fixture(autouse=True)
def log_file(settings: Any, tmp_path: Path) -> Path:
    settings.AUTH_LOG_FILE = str(tmp_path / "log" / "auth.log")
    return tmp_path / "log" / "auth.log"


def matched(log: Path) -> list[str]:
    """Return the addresses that fail2ban would count, one per matched line."""
    return fail2ban("fail2ban-regex", "--out", "ip", str(log), str(FILTER)).split()


def fail2ban(name: str, *words: str) -> str:
    """Run one of Debian's programs and return what it printed."""
    path, environment = program(name, "fail2ban")
    python = Path("/usr/bin/python3")
    argv = [str(python)] if python.exists() else []
    done = subprocess.run(
        [*argv, str(path), *words],
        capture_output=True, text=True, timeout=60, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr[-500:]
    return done.stdout


def write(log: Path, *lines: str) -> None:
    log.parent.mkdir(exist_ok=True)
    log.write_text("".join(lines), encoding="ascii")


def test_fail2ban_counts_each_kind_of_refusal(log_file: Path) -> None:
    facts: Any = {"address": "192.0.2.10", "path": "/admin/login/", "user": "alice"}
    write(log_file, *(authlog.line(reason, **facts) for reason in authlog.REASONS))
    assert matched(log_file) == ["192.0.2.10"] * len(authlog.REASONS)


def test_fail2ban_reads_ipv6_and_skips_what_has_no_address(log_file: Path) -> None:
    facts: Any = {"path": "/api/v1/", "user": ""}
    lines = [authlog.line("bad_token", address=a, **facts) for a in ("2001:db8::7", None)]
    write(log_file, *lines)
    assert matched(log_file) == ["2001:db8::7"]


@pytest.mark.parametrize(
    "name",
    [
        'x" auth-failure ip=8.8.8.8 reason=bad_password path=/ user="y',
        "x\n2026-11-23T06:05:30.123Z devops-portal[1]: auth-failure ip=8.8.8.8 reason=bad_otp path=/ user=\"y\"",
        "\\\" ip=8.8.8.8", "\u2028ip=8.8.8.8", "\x00\r\nip=8.8.8.8", "ä" * 500,
    ],
)  # fmt: skip
def test_no_name_makes_fail2ban_ban_somebody_else(log_file: Path, name: str) -> None:
    line = authlog.line("bad_password", address="192.0.2.10", path=f"/{name}", user=name)
    write(log_file, line)
    assert matched(log_file) == ["192.0.2.10"]


def test_fail2ban_starts_the_jail_that_is_shipped(tmp_path: Path, log_file: Path) -> None:
    path, _ = program("fail2ban-client", "fail2ban")
    folder = tmp_path / "fail2ban"
    shutil.copytree(path.resolve().parents[2] / "etc" / "fail2ban", folder)
    for other in (folder / "jail.d").iterdir():
        other.unlink()
    write(log_file)
    shutil.copy(FILTER, folder / "filter.d")
    jail = (SHIPPED / "jail.d" / "devops-portal.conf").read_text()
    wanted = re.sub(r"(?m)^logpath .*", f"logpath = {log_file}", jail)
    (folder / "jail.d" / "devops-portal.conf").write_text(wanted)
    orders = fail2ban("fail2ban-client", "-c", str(folder), "-d")
    for order in (
        f"['set', 'devops-portal', 'addlogpath', '{log_file}', 'head']",
        "['set', 'devops-portal', 'maxretry', 8]",
        "['start', 'devops-portal']",
    ):
        assert order in orders
    assert "auth-failure ip=<ADDR>" in orders


@given(user=st.text(), path=st.text())
def test_any_text_stays_on_its_line(user: str, path: str) -> None:
    moment = datetime(2026, 11, 23, 6, 5, 30, 123456, tzinfo=UTC)
    written = authlog.line("throttled", address="192.0.2.1", path=path, user=user, at=moment)
    assert LINE.fullmatch(written)
    assert written.isascii()


@pytest.mark.django_db
def test_refusals_at_the_door_leave_their_lines(log_file: Path, client: Client) -> None:
    make_user(username="ada")
    for name in ("ada", "a password typed too early"):
        client.post(
            "/admin/login/", {"username": name, "password": "wrong"}, REMOTE_ADDR="192.0.2.3"
        )
    client.get("/api/v1/alerts/", HTTP_AUTHORIZATION="Bearer dop_pat_x", REMOTE_ADDR="192.0.2.4")
    lines = log_file.read_text().splitlines()
    assert [
        re.findall(r"ip=(\S+) reason=(\S+) path=\S+ user=(\S+)", line)[0] for line in lines
    ] == [
        ("192.0.2.3", "bad_password", '"ada"'),
        ("192.0.2.3", "unknown_user", '""'),
        ("192.0.2.4", "bad_token", '""'),
    ]
    assert matched(log_file) == ["192.0.2.3", "192.0.2.3", "192.0.2.4"]


@pytest.mark.django_db
def test_attempts_beyond_the_limit_leave_lines_too(log_file: Path, client: Client) -> None:
    for number in range(8):
        client.post(
            "/admin/login/", {"username": "bob", "password": f"{number}"}, REMOTE_ADDR="192.0.2.3"
        )
    assert log_file.read_text().count("reason=throttled") == 3


def test_many_writers_and_a_rotation_lose_no_line(log_file: Path) -> None:
    def work() -> None:
        for _ in range(200):
            authlog.failure("bad_password")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    until(log_file.exists, "no line was written")
    log_file.rename(log_file.with_suffix(".1"))
    for thread in threads:
        thread.join()
    parts = [part.read_text() for part in log_file.parent.iterdir()]
    assert sum(part.count("\n") for part in parts) == 1600
    assert all(LINE.fullmatch(f"{line}\n") for part in parts for line in part.splitlines())


def test_a_disk_that_refuses_is_logged_and_nobody_fails(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.AUTH_LOG_FILE = "/proc/nowhere/auth.log"
    authlog.failure("bad_password")
    assert "AUTH_LOG_FILE" in caplog.text
