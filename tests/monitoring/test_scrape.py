"""Polling a Prometheus into targets and service statuses, on good days and on bad ones."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from monitoring import polling, scrape
from monitoring.models import ServiceStatus, StatusChange, Target
from monitoring.reconcile import judge
from portal.core.models import Service, Upstream
from portal.core.polling import Outcome
from tests.core.hostile import read_head, serving
from tests.factories import make_alert, make_service, make_upstream

pytestmark = pytest.mark.django_db


class FakePrometheus:
    """What it answers to each call, as the `data` of the protocol; `raw` replaces whole answers."""

    def __init__(self) -> None:
        self.targets: Any = []
        self.groups: Any = []
        self.raw: bytes | None = None
        self.lacks: dict[
            str, tuple[int, bytes]
        ] = {}  # calls it does not know, and what it says then

    def answer(self, path: str) -> bytes:
        if self.raw is not None:
            return self.raw
        data = {
            "/api/v1/targets": {"activeTargets": self.targets},
            "/api/v1/rules": {"groups": self.groups},
            "/api/v1/status/buildinfo": {"version": "2.53.3"},
            "/api/v1/status/runtimeinfo": {"startTime": "2026-01-01T00:00:00Z", "reloadConfigSuccess": True},
        }[path]  # fmt: skip
        return json.dumps({"status": "success", "data": data}).encode()


@contextmanager
def fake_prometheus(fake: FakePrometheus) -> Iterator[str]:
    def script(peer: Any) -> None:
        while head := read_head(peer):
            path = head.split(b" ")[1].partition(b"?")[0].decode()
            status, body = fake.lacks.get(path) or (200, fake.answer(path))
            peer.sendall(
                b"HTTP/1.1 %d .\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body
            )

    with serving(script) as url:
        yield url


@pytest.fixture
def fake() -> FakePrometheus:
    return FakePrometheus()


@pytest.fixture
def upstream(fake: FakePrometheus) -> Iterator[Upstream]:
    with fake_prometheus(fake) as url:
        yield make_upstream(kind="prometheus", name="prom", url=url)


def wire(job: str = "api", number: int = 1, health: str = "up", **over: Any) -> dict[str, Any]:
    instance = f"10.0.{number // 256}.{number % 256}:9100"
    return {
        "labels": {"job": job, "instance": instance}, "scrapePool": job, "health": health,
        "scrapeUrl": f"http://{instance}/metrics", "lastError": "refused" if health == "down" else "", **over,
    }  # fmt: skip


def rule(name: str = "Slow", state: str = "firing", **labels: str) -> dict[str, Any]:
    alerts = [{"labels": {"alertname": name, **labels}, "state": state}]
    return {"name": "g", "rules": [{"name": name, "type": "alerting", "state": state, "health": "ok",
                                    "alerts": alerts}]}  # fmt: skip


def poll(upstream: Upstream) -> Outcome:
    outcome = polling.poll(upstream.pk)
    upstream.refresh_from_db()
    return outcome


def statuses() -> dict[str, str]:
    return dict(ServiceStatus.objects.values_list("service__slug", "status"))


def test_targets_rules_and_build_become_statuses(fake: FakePrometheus, upstream: Upstream) -> None:
    make_service(slug="api", matchers=['job="api"'])
    fake.targets = [wire(), wire("db", 2, "down"), wire("web", 3), wire("web", 4, "down")]
    fake.groups = [rule("Slow", job="api", severity="critical")]
    assert poll(upstream).error == ""
    assert statuses() == {"api": "degraded", "db": "down", "web": "degraded"}
    assert ServiceStatus.objects.get(service__slug="api").reason == "Firing: Slow."
    assert Target.objects.filter(service__slug="web", health="up").count() == 1
    seen = upstream.observed
    assert (seen["version"], seen["targets_up"], seen["targets_down"], seen["rules_firing"]) == (
        "2.53.3", 2, 2, 1)  # fmt: skip
    fake.groups, fake.targets = [], [wire(), wire("db", 2)]
    poll(upstream)
    assert statuses() == {"api": "up", "db": "up", "web": "unknown"}
    flips = StatusChange.objects.filter(service__slug="db").order_by("id")
    assert [(flip.old_status, flip.new_status) for flip in flips] == [
        ("unknown", "down"),
        ("down", "up"),
    ]


def test_a_job_that_nobody_described_becomes_a_service_unless_told_not_to(
    fake: FakePrometheus, upstream: Upstream
) -> None:
    fake.targets = [wire("Node Exporter")]
    Upstream.objects.update(options={"discover_services": False})
    poll(upstream)
    assert not Service.objects.exists()
    Upstream.objects.update(options={})
    poll(upstream)
    assert Service.objects.get(slug="node-exporter").discovered


def test_what_fires_already_belongs_to_the_service_that_is_found(
    fake: FakePrometheus, upstream: Upstream
) -> None:
    alert = make_alert(labels={"alertname": "Slow", "job": "Node Exporter"})
    fake.targets = [wire("Node Exporter")]
    poll(upstream)
    alert.refresh_from_db()
    assert alert.service == Service.objects.get(slug="node-exporter")


def test_a_server_that_names_other_jobs_at_each_poll_fills_the_catalogue_up_to_a_bound(
    fake: FakePrometheus, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrape, "MOST_DISCOVERED", 3)
    make_service(slug="by-hand")
    for turn in range(3):
        fake.targets = [wire(f"job-{turn}-{number}", turn * 10 + number) for number in range(2)]
        assert poll(upstream).error == ""
    assert Service.objects.filter(discovered=True).count() == 3


def test_statuses_are_written_in_the_order_others_lock_them(
    fake: FakePrometheus, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A poll and a runner of checks that each wait for a row of the other would be a deadlock."""
    services = [make_service(slug=f"s{n}", matchers=[f'job="s{n}"']) for n in range(6)]
    fake.targets = [wire(f"s{n}", n) for n in range(6)]

    def backwards(*args: Any, **options: Any) -> Any:
        return dict(reversed(judge(*args, **options).items()))

    monkeypatch.setattr(scrape, "judge", backwards)
    with CaptureQueriesContext(connection) as asked:
        poll(upstream)
    sql = [query["sql"] for query in asked]
    written = next(text for text in sql if 'INSERT INTO "monitoring_servicestatus"' in text)
    ids = {str(service.pk) for service in services}
    in_order = [word for word in re.findall(r"\d+", written) if word in ids][: len(ids)]
    assert in_order == sorted(ids, key=int)


def test_a_poll_in_which_nothing_changed_writes_only_freshness_in_few_statements(
    fake: FakePrometheus, upstream: Upstream
) -> None:
    costs = []
    for count in (3, 300):
        fake.targets = [wire(number=n) for n in range(count)]
        poll(upstream)
        before = versions()
        with CaptureQueriesContext(connection) as queries:
            poll(upstream)
        assert versions() == before
        costs.append(len(queries))
    assert costs[0] == costs[1]


def versions() -> list[tuple[str, ...]]:
    """Return PostgreSQL's row versions, which move with every write."""
    tables = ("monitoring_target", "monitoring_servicestatus", "core_service")
    with connection.cursor() as cursor:
        parts = [f"SELECT '{t}', xmin::text, ctid::text FROM {t}" for t in tables]  # noqa: S608
        cursor.execute(f"{' UNION ALL '.join(parts)} ORDER BY 1, 3")
        return list(cursor.fetchall())


def test_bad_items_are_counted_and_the_rest_is_kept(
    fake: FakePrometheus, upstream: Upstream
) -> None:
    fake.targets = [wire(number=1), wire(number=2)]
    poll(upstream)
    hostile = {"job": "api", "instance": "a\x00b", "n\x00": "\x1b[31m" + "x" * 5000}
    fake.targets = [
        wire(number=1), 7, {"labels": 5}, wire(number=3, labels=hostile, lastError="e\x00" * 3000),
        wire(number=4, health="weird"), wire(number=1),
    ]  # fmt: skip
    fake.groups = [rule(), {"rules": [5]}, "x"]
    assert poll(upstream).error == ""
    assert "4 items could not be read" in upstream.warning
    assert Target.objects.count() == 4  # the second is not called gone while some are unreadable
    assert Target.objects.get(scrape_url__contains="0.4:").health == "unknown"


@pytest.mark.parametrize(
    "raw, words",
    [
        (b"", "not JSON"),
        (b"<html>Sign in</html>", "HTML page"),
        (b'{"status": "error"}', "did not answer like a Prometheus"),
        (b"[]", "did not answer like a Prometheus"),
        (b'{"status": "success", "data": []}', "does not answer like a Prometheus"),
        (b'{"status": "success", "data": {"activeTargets": {}}}', "does not answer like a Prometheus"),
        (b"[" * 100_000, "not JSON"),
    ],
)  # fmt: skip
def test_an_answer_that_is_none_changes_nothing_and_is_a_sentence(
    fake: FakePrometheus, upstream: Upstream, raw: bytes, words: str
) -> None:
    fake.targets = [wire()]
    poll(upstream)
    fake.raw = raw
    assert words in poll(upstream).error
    assert upstream.freshness(at=timezone.now()) == "unreachable"
    assert statuses() == {"api": "up"}
    shown, reason = ServiceStatus.objects.select_related("upstream").get().shown(at=timezone.now())
    assert (shown, "last known" in reason) == ("unknown", True)


@pytest.mark.parametrize(
    "status, body",
    [(404, b"404 page not found"), (400, b'unsupported path requested: "/api/v1/status"'),
     (200, b"<html>vmui</html>"), (200, b'{"status": "success"}')],
)  # fmt: skip
def test_a_compatible_server_that_does_not_tell_its_version_is_polled(
    fake: FakePrometheus, upstream: Upstream, status: int, body: bytes
) -> None:
    fake.targets = [wire()]
    for call in ("buildinfo", "runtimeinfo"):
        fake.lacks[f"/api/v1/status/{call}"] = status, body
    assert poll(upstream).error == ""
    assert (statuses(), upstream.observed["version"]) == ({"api": "up"}, "")


def test_a_server_that_fails_to_tell_its_version_has_failed(
    fake: FakePrometheus, upstream: Upstream
) -> None:
    fake.lacks["/api/v1/status/buildinfo"] = 503, b"starting"
    assert "503" in poll(upstream).error


def test_time_in_which_nobody_looked_is_unknown_in_the_history(
    fake: FakePrometheus, upstream: Upstream
) -> None:
    fake.targets = [wire()]
    poll(upstream)
    long_ago = timezone.now() - timedelta(hours=2)
    ServiceStatus.objects.update(since=long_ago - timedelta(hours=1))
    Upstream.objects.update(succeeded_at=long_ago)
    poll(upstream)
    changes = StatusChange.objects.order_by("id").values_list("old_status", "new_status")
    assert list(changes)[1:] == [("up", "unknown"), ("unknown", "up")]


def test_what_another_prometheus_watches_is_left_to_it(
    fake: FakePrometheus, upstream: Upstream
) -> None:
    fake.targets = [wire(health="down")]
    poll(upstream)
    other = FakePrometheus()
    other.targets = [wire(number=9)]
    with fake_prometheus(other) as url:
        poll(make_upstream(kind="prometheus", name="other", url=url))
        assert statuses() == {"api": "down"}
        fake.targets = []
        poll(upstream)
    assert statuses() == {"api": "unknown"}
