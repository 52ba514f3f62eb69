"""Checks, deploys and uptime through the API."""

import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from audit.models import AuditEntry
from monitoring.models import Check, CheckHour, Deploy, StatusChange
from security import tokens
from tests.core.hostile import reply, serving
from tests.factories import make_check, make_service, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def client() -> Client:
    token = tokens.create(user=make_user(), name="ci", scopes=["read", "monitoring:write"])[1]
    return Client(headers={"Authorization": f"Bearer {token}"})


@pytest.fixture
def healthy() -> Iterator[str]:
    with serving(reply(b"ok", "200 OK", "Connection: close")) as url:
        yield url


def post(client: Client, path: str, body: dict[str, Any], code: int = 201) -> Any:
    answer = client.post(f"/api/v1/{path}", body, content_type="application/json")
    assert answer.status_code == code, answer.content
    return answer.json()


def test_a_check_is_made_changed_run_and_deleted(client: Client, healthy: str) -> None:
    service = make_service(slug="shop")
    wanted = {"service": "shop", "name": "front", "kind": "http", "target": healthy}
    made = post(client, "checks/", {**wanted, "headers": {"X-Key": "hidden"}})
    assert (made["status"], "headers" in made) == ("unknown", False)
    path = f"checks/{made['id']}/"
    changed = client.patch(f"/api/v1/{path}", {"name": "home"}, content_type="application/json")
    assert (changed.status_code, changed.json()["name"]) == (200, "home")
    ran = post(client, f"{path}run/", {}, 200)
    assert (ran["status"], Check.objects.get().status) == ("up", "up")
    assert client.delete(f"/api/v1/{path}").status_code == 204
    actions = list(
        AuditEntry.objects.filter(target_type="monitoring.check").values_list("action", flat=True)
    )
    assert {"object.created", "object.updated", "check.run", "object.deleted"} <= set(actions)
    assert not AuditEntry.objects.filter(changes__icontains="hidden").exists()
    assert service.checks.count() == 0


@pytest.mark.parametrize(
    ("over", "field"),
    [
        ({"target": "shop.example"}, "target"),
        ({"kind": "tcp", "target": "db"}, "target"),
        ({"target": "http://169.254.169.254/latest/meta-data/"}, "metadata"),
        ({"kind": "tcp", "target": "[fd00:ec2::254]:80"}, "metadata"),
        ({"kind": "promql"}, "promql"),
        ({"expected_status": "2xx"}, "expected_status"),
        ({"body_pattern": "("}, "body_pattern"),
        ({"interval_seconds": 1}, "interval_seconds"),
        ({"timeout_seconds": 300}, "timeout_seconds"),
        ({"service": "nobody"}, "service"),
        ({"kind": "ping"}, "kind"),
        ({"headers": {"X": ["list"]}}, "headers"),
        ({"headers": {"X": "a\r\nInjected: b"}}, "headers"),
        ({"headers": {"X\n": "a"}}, "headers"),
        ({"headers": {"X": "\u20ac"}}, "headers"),
        ({"headers": {f"X-{i}": "a" for i in range(21)}}, "headers"),
    ],
)
def test_a_check_that_could_never_work_is_refused(
    client: Client, over: dict[str, Any], field: str
) -> None:
    make_service(slug="shop")
    wanted = {"service": "shop", "name": "c", "kind": "http", "target": "http://127.0.0.1/"}
    problem = post(client, "checks/", {**wanted, **over}, 400)
    assert field in str(problem), problem


def test_the_same_deploy_told_twice_is_one(client: Client) -> None:
    make_service(slug="shop")
    told = {"uid": str(uuid.uuid4()), "service": "shop", "version": "v7", "environment": "prod"}
    first = post(client, "deploys/", told)
    second = post(client, "deploys/", told, 200)
    assert first["id"] == second["id"]
    assert (
        Deploy.objects.count() == AuditEntry.objects.filter(action="deploy.recorded").count() == 1
    )


def test_deploys_are_found_by_service_and_time(client: Client) -> None:
    make_service(slug="shop")
    post(client, "deploys/", {"service": "shop", "version": "v7"})
    since = (timezone.now() - timedelta(minutes=1)).isoformat().replace("+00:00", "Z")
    for query, count in (("service=shop", 1), ("service=other", 0), (f"since={since}", 1)):
        found = client.get(f"/api/v1/deploys/?{query}").json()["results"]
        assert len(found) == count, query


def test_a_deploy_far_ahead_is_refused(client: Client) -> None:
    make_service(slug="shop")
    late = (timezone.now() + timedelta(days=30)).isoformat()
    assert "Check the clock" in str(
        post(client, "deploys/", {"service": "shop", "version": "v7", "at": late}, 400)
    )


def test_uptime_of_a_service_over_a_window(client: Client) -> None:
    service, now = make_service(slug="shop"), timezone.now()
    for hours, status in ((48, "up"), (12, "down"), (6, "up")):
        StatusChange.objects.create(
            service=service, new_status=status, at=now - timedelta(hours=hours)
        )
    found = client.get("/api/v1/services/shop/uptime/?window=24h").json()
    assert (round(found["ratio"], 3), found["incidents"]) == (0.75, 1)
    assert [span["status"] for span in found["spans"]] == ["up", "down", "up"]


def test_a_check_tells_its_uptime_and_the_latency_of_each_hour(client: Client) -> None:
    check, now = make_check(), timezone.now()
    for hours, status in ((48, "up"), (12, "down"), (6, "up")):
        StatusChange.objects.create(
            service=check.service,
            check_row=check,
            new_status=status,
            at=now - timedelta(hours=hours),
        )
    for hours in (2, 30):
        CheckHour.objects.create(
            check_row=check, hour=now - timedelta(hours=hours), runs=10, failures=1, latency_sum=2.5, latency_max=1.5
        )  # fmt: skip
    found = client.get(f"/api/v1/checks/{check.pk}/history/?window=24h").json()
    assert (round(found["ratio"], 3), found["incidents"], len(found["spans"])) == (0.75, 1, 3)
    (hour,) = found["hours"]
    assert (hour["runs"], hour["failures"], hour["latency_mean"], hour["latency_max"]) == (
        10,
        1,
        0.25,
        1.5,
    )
    assert client.get(f"/api/v1/checks/{check.pk}/history/?window=0d").status_code == 400


@pytest.mark.parametrize("window", ["", "0d", "9999w", "day", "-1d", "1d\x00"])
def test_a_window_that_is_none_is_refused(client: Client, window: str) -> None:
    make_service(slug="shop")
    answer = client.get("/api/v1/services/shop/uptime/", {"window": window})
    assert answer.status_code == 400


def test_a_check_that_has_not_run_for_long_is_unknown_in_the_list(client: Client) -> None:
    make_check(last_run_at=timezone.now() - timedelta(hours=1))
    (found,) = client.get("/api/v1/checks/").json()["results"]
    assert (found["status"], "has not run since" in found["sentence"]) == ("unknown", True)


def test_deploys_are_drawn_on_charts(client: Client) -> None:
    make_service(slug="shop")
    post(client, "deploys/", {"service": "shop", "version": "v7"})
    drawn = client.get("/api/v1/metrics/query_range/?query=up").json()
    assert [(mark["service"], mark["version"]) for mark in drawn["deploys"]] == [("shop", "v7")]
