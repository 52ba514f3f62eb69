"""What the doctor says of what it has read: tables of facts, levels and cures."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from portal.doctor import servers, work
from portal.doctor.examination import worst
from portal.doctor.findings import Finding, Level, fail, ok, warn
from portal.doctor.servers import DatabaseFacts, RedisFacts
from portal.doctor.work import ChannelFacts, QueueFacts

MB = 1024**2
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
DATABASE = DatabaseFacts(180_001, 10, 100, 0, 0, 0.1)
REDIS = RedisFacts("9.0", "noeviction", 10 * MB, 100 * MB, True, True, True)


def one(findings: list[Finding], thing: str) -> Finding:
    return next(finding for finding in findings if finding.thing == thing)


@pytest.mark.parametrize(
    "over, thing, level, words",
    [
        ({}, "postgresql", "ok", "PostgreSQL 18"),
        ({"version": 130_014}, "postgresql", "fail", "needs 14 or later. Upgrade"),
        ({"pending_migrations": 3}, "migrations", "fail", "manage.py prepare"),
        ({"connections": 79}, "connections", "ok", "79 of 100"),
        ({"connections": 80}, "connections", "warn", "max_connections"),
        ({"connections": 90}, "connections", "fail", "max_connections"),
        ({"default_partition_rows": 1}, "audit partitions", "warn", "Start beat"),
        ({"default_partition_rows": None}, "audit partitions", "warn", "Unknown while"),
        ({"skew_seconds": 6.2}, "clock", "warn", "6 s ahead of"),
        ({"skew_seconds": -600.0}, "clock", "warn", "600 s behind"),
    ],
)
def test_postgresql(over: dict[str, float], thing: str, level: str, words: str) -> None:
    found = one(servers.database(replace(DATABASE, **over)), thing)  # type: ignore[arg-type]
    assert (found.level, words in found.text) == (level, True), found


@pytest.mark.parametrize(
    "over, thing, level, words",
    [
        ({}, "redis", "ok", "evicts nothing"),
        ({"eviction": "allkeys-lru"}, "redis", "fail", "Set maxmemory-policy noeviction"),
        ({"eviction": "allkeys-lru", "max_bytes": 0}, "redis", "ok", ""),
        ({"append_only": False}, "redis persistence", "ok", "snapshots"),
        (
            {"append_only": False, "saves": False},
            "redis persistence",
            "warn",
            "Set appendonly yes in",
        ),
        ({"last_save_ok": False}, "redis persistence", "fail", "disk"),
        ({"used_bytes": 80 * MB}, "redis memory", "warn", "80 MB of 100 MB"),
        ({"used_bytes": 95 * MB}, "redis memory", "fail", "Raise maxmemory"),
        ({"max_bytes": 0}, "redis memory", "ok", "no memory limit"),
    ],
)
def test_redis(over: dict[str, int], thing: str, level: str, words: str) -> None:
    found = one(servers.redis(replace(REDIS, **over)), thing)  # type: ignore[arg-type]
    assert (found.level, words in found.text) == (level, True), found


@pytest.mark.parametrize(
    "found, level, words",
    [
        (work.worker(3), "ok", "3 s ago"),
        (work.worker(None), "fail", "Start worker and beat"),
        (work.worker(300), "fail", "300 s"),
        (work.beat(["a:1"]), "ok", "a:1"),
        (work.beat([]), "fail", "Start beat, exactly once"),
        (work.beat(["b:2", "a:1"]), "fail", "2 beats are running (a:1, b:2)"),
        (work.queue(QueueFacts(3, 0)), "ok", "3 tasks"),
        (work.queue(QueueFacts(500, 0)), "warn", "more workers"),
        (work.queue(QueueFacts(1, 90)), "fail", "90 s ago"),
        (work.backlog("x", 0, 0, what="rows wait", cure="c"), "ok", "No rows wait."),
        (work.backlog("x", 9, 5, what="rows wait", cure="c"), "ok", "9 rows wait."),
        (work.backlog("x", 9, 70, what="rows wait", cure="c"), "warn", "for 70 s. c"),
        (work.backlog("x", 9, 700, what="rows wait", cure="c"), "fail", "for 700 s. c"),
        (work.detector(0), "ok", "up to date with the audit trail"),
        (work.detector(100), "warn", "100 s behind"),
        (work.detector(1000), "fail", "detect_threats"),
        (work.checks(0), "ok", "on time"),
        (work.checks(7), "warn", "7 checks"),
        (work.scraping("p", series=1, down_because=""), "ok", "scrapes"),
        (work.scraping("p", series=0, down_because="server returned 403"), "fail", "server returned 403. Check"),
        (work.scraping("p", series=0, down_because=""), "warn", "Add the job"),
        (servers.disk("var", free_bytes=50 * MB), "fail", "50 MB"),
        (servers.disk("var", free_bytes=500 * MB), "warn", "0.5 GB"),
        (servers.disk("var", free_bytes=5000 * MB), "ok", "4.9 GB"),
        (servers.folder("audit file", "/x", problem="", used_for=""), "ok", "is writable"),
        (servers.folder("audit file", "/x", problem="Read-only file system", used_for="y"), "fail", "so y. Create"),
    ],
)  # fmt: skip
def test_work_and_places(found: Finding, level: str, words: str) -> None:
    assert (found.level, words in found.text) == (level, True), found
    assert found.text.endswith((".", "c"))


def test_channels() -> None:
    assert work.channels([], enabled=0)[0].level == "warn"
    assert work.channels([], enabled=2)[0].level == "ok"
    broken = work.channels([ChannelFacts("mail", 4, "HTTP 503\nsorry")], enabled=2)
    assert [(f.thing, f.level) for f in broken] == [("channel mail", "fail")]
    assert "4 attempts failed: HTTP 503 sorry. Correct" in broken[0].text


@pytest.mark.parametrize(
    "findings, expected",
    [([], "ok"), ([ok("a", "x")], "ok"), ([ok("a", "x"), warn("b", "x")], "warn"),
     ([fail("a", "x"), warn("b", "x")], "fail")],
)  # fmt: skip
def test_the_worst_counts(findings: list[Finding], expected: Level) -> None:
    assert worst(findings) == expected


@pytest.mark.parametrize(
    "over, level, words",
    [
        ({}, "ok", "GeoLite2-Country"),
        ({"built_at": None}, "ok", ""),
        ({"kind": "DBIP-ASN-Lite (compat=GeoLite2-ASN)"}, "ok", ""),
        ({"kind": "GeoIP2-Anonymous-IP"}, "fail", "neither countries nor networks. Use"),
        ({"kind": ""}, "fail", "type unknown"),
        (
            {"problem": "Permission denied"},
            "fail",
            "cannot be used (Permission denied), so audit entries",
        ),
        (
            {"built_at": datetime(2026, 1, 1, tzinfo=UTC)},
            "warn",
            "151 days old",
        ),
    ],
)
def test_a_file_of_places(over: dict[str, Any], level: str, words: str) -> None:
    facts: dict[str, Any] = {"problem": "", "kind": "GeoLite2-Country", "built_at": NOON}
    found = servers.geoip("/geo/x.mmdb", **{**facts, **over}, now=NOON)
    assert (found.level, words in found.text) == (level, True), found
