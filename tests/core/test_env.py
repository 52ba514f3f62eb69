"""The environment: typed values, and for a wrong one a problem with a hint, never a traceback."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks
from pytest_django import Settings

from portal import env


@pytest.fixture(autouse=True)
def problems(monkeypatch: pytest.MonkeyPatch) -> list[env.Problem]:
    noted: list[env.Problem] = []
    monkeypatch.setattr(env, "problems", noted)
    return noted


READERS: dict[str, Callable[[], Any]] = {
    "boolean": lambda: env.boolean("X", False),
    "integer": lambda: env.integer("X", 15, minimum=1, maximum=60),
    "networks": lambda: [str(network) for network in env.networks("X")],
    "url": lambda: env.url("X", ("http", "https"), "http://default"),
    "urls": lambda: env.urls("X"),
    "database": lambda: env.database("X"),
    "words": lambda: env.words("X"),
    "dsn": lambda: env.dsn("X"),
    "slug": lambda: env.slug("X"),
}


@pytest.mark.parametrize(
    "reader, written, value",
    [
        ("boolean", "Yes", True),
        ("boolean", " off ", False),
        ("integer", "60", 60),
        ("networks", "10.1.2.3/8, ::1", ["10.0.0.0/8", "::1/128"]),
        ("url", "https://portal.example/x/", "https://portal.example/x"),
        ("urls", "http://a:9093,http://b:9093/", ["http://a:9093", "http://b:9093"]),
        ("words", " a, ,b,", ["a", "b"]),
        ("dsn", "https://key@sentry.example/sub/4", "https://key@sentry.example/sub/4"),
        ("slug", " acme-2_b ", "acme-2_b"),
    ],
)
def test_a_good_value_is_read(
    reader: str,
    written: str,
    value: Any,
    monkeypatch: pytest.MonkeyPatch,
    problems: list[env.Problem],
) -> None:
    monkeypatch.setenv("X", written)
    assert READERS[reader]() == value
    assert problems == []


@pytest.mark.parametrize(
    "reader, written, default",
    [
        ("slug", "../a", ""),
        ("slug", "a.b", ""),
        ("boolean", "perhaps", False),
        ("integer", "0", 15),
        ("integer", "12.5", 15),
        ("integer", "9" * 5000, 15),
        ("networks", "10.0.0.0/99", []),
        ("url", "portal.example", "http://default"),
        ("url", "http://host:port", "http://default"),
        ("url", "http://[::1", "http://default"),
        ("urls", "prometheus:9090", []),
        ("urls", "http://[bad", []),
        ("urls", "http://prometheus:9090/?x=1", []),
        ("urls", "http://prometheus:9090/#x", []),
        ("database", "mysql://root@localhost/portal", {}),
        ("database", "postgresql://host", {}),
        ("database", "postgresql://host:port/name", {}),
        ("dsn", "sentry.example", ""),
        ("dsn", "https://sentry.example/4", ""),
        ("dsn", "https://key@sentry.example/shop", ""),
        ("dsn", "https://key@sentry.example:port/4", ""),
    ],
)
def test_a_wrong_value_is_a_problem_with_a_hint_and_the_default(
    reader: str,
    written: str,
    default: Any,
    monkeypatch: pytest.MonkeyPatch,
    problems: list[env.Problem],
) -> None:
    monkeypatch.setenv("X", written)
    assert READERS[reader]() == default
    assert [(p.variable, bool(p.message and p.hint)) for p in problems] == [("X", True)]


def test_a_wrong_value_does_not_reveal_a_password(
    monkeypatch: pytest.MonkeyPatch, problems: list[env.Problem]
) -> None:
    monkeypatch.setenv("X", "postgresql://user:hunter2@host:port/name")
    env.database("X")
    assert "hunter2" not in str(problems)


@pytest.mark.parametrize(
    "written, host, port",
    [
        ("postgresql://u:p%40ss@db.example:5433/portal", "db.example", "5433"),
        ("postgresql://u:p%40ss@/portal?host=%2Frun%2Fpg", "/run/pg", ""),
        ("postgres://u:p%40ss@%2Frun%2Fpg/portal", "/run/pg", ""),
        ("postgresql://u:p%40ss@[::1]:5432/portal?sslmode=require", "::1", "5432"),
    ],
)
def test_database_urls(written: str, host: str, port: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("X", written)
    found = env.database("X")
    assert (found["HOST"], found["PORT"], found["PASSWORD"]) == (host, port, "p@ss")
    assert found["NAME"] == "portal"


@pytest.mark.parametrize(
    "redis, broker",
    [
        ("redis://h:6379/0", "redis://h:6379/0"),
        ("unix://:pw@/run/v.sock?db=3", "redis+socket://:pw@/run/v.sock?virtual_host=3"),
        ("unix:///run/v.sock", "redis+socket:///run/v.sock?virtual_host=0"),
    ],
)
def test_celery_spelling_of_a_redis_url(redis: str, broker: str) -> None:
    assert env.celery_broker(redis) == broker


def test_a_file_wins_and_is_stripped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text("from the file\n")
    monkeypatch.setenv("X", "from the environment")
    monkeypatch.setenv("X_FILE", str(tmp_path / "key"))
    assert env.text("X") == "from the file"


def test_a_file_that_is_missing_is_a_problem(
    monkeypatch: pytest.MonkeyPatch, problems: list[env.Problem]
) -> None:
    monkeypatch.setenv("X_FILE", "/nowhere/key")
    assert env.text("X", "default") == "default"
    assert [p.variable for p in problems] == ["X_FILE"]


def test_a_secret_is_made_once_with_mode_0600(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "key"
    first = env.secret("PORTAL_TEST_SECRET", path)
    assert env.secret("PORTAL_TEST_SECRET", path) == first
    assert len(first) >= 50
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_problems_become_the_system_check_e001(settings: Settings) -> None:
    settings.CONFIG_PROBLEMS = [env.Problem("POLL_SECONDS", "is wrong.", "Use 15.")]
    found = [message for message in run_checks() if message.id == "portal.E001"]
    assert [(message.msg, message.hint) for message in found] == [
        ("POLL_SECONDS: is wrong.", "Use 15.")
    ]
