"""The dashboard's numbers, at both of its doors: what cannot be seen is never shown as good news."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from alerts.models import Alert
from monitoring.models import ServiceStatus, Status
from portal.core.models import Upstream
from portal.dashboard import dashboard
from portal.sight import source_of
from tests.factories import (
    build_alert,
    make_alert,
    make_sentry,
    make_service,
    make_silence,
    make_status,
    make_upstream,
    make_user,
    sign_in,
)

pytestmark = pytest.mark.django_db
NOW = timezone.now()


@pytest.mark.parametrize(
    "fields, state, words",
    [
        ({}, "live", ""),
        ({"error": "Nothing is listening there."}, "unreachable", "Nothing is listening there."),
        ({"succeeded_at": NOW - timedelta(hours=1)}, "stale", "No poll has succeeded"),
        ({"attempted_at": None, "succeeded_at": None}, "never", "not been polled yet"),
        ({"settling_since": NOW, "settling_reason": "It restarted."}, "settling", "It restarted. Until"),
        ({"settling_since": NOW, "error": "Down."}, "unreachable", "Down."),
    ],
    ids=["live", "unreachable", "stale", "never", "settling", "down while settling"],
)  # fmt: skip
def test_a_source_says_how_far_it_can_be_trusted(
    fields: dict[str, Any], state: str, words: str
) -> None:
    polled = {"attempted_at": NOW, "succeeded_at": NOW, "kind": "alertmanager", "name": "am"}
    source = source_of(Upstream(**{**polled, **fields}), at=NOW)
    assert source.state == state
    assert words in source.sentence
    assert bool(words) == bool(source.sentence)


def page(client: Client) -> str:
    answer = client.get("/admin/")
    assert answer.status_code == 200
    return answer.content.decode()


def test_without_an_alertmanager_nothing_is_not_good_news(client: Client) -> None:
    sign_in(client)
    html, data = page(client), client.get("/api/v1/dashboard/").json()
    assert "Nothing is firing" not in html
    assert "Unknown" in html
    assert "Connect your first upstream" in html
    assert data["alerts_sight"]["state"] == "blind"
    assert data["firing"] == 0


@pytest.mark.parametrize(
    "fields",
    [{"error": "It is down."}, {"live": False}, {"succeeded_at": NOW - timedelta(days=1)}],
    ids=["unreachable", "never", "stale"],
)
def test_a_blind_alertmanager_never_looks_like_no_alerts(
    client: Client, fields: dict[str, Any]
) -> None:
    sign_in(client)
    make_upstream(name="am", **fields)
    html = page(client)
    assert "Nothing is firing" not in html
    assert "current alerts cannot be seen: am" in html
    assert dashboard().alerts_sight.is_blind


def test_one_of_two_alertmanagers_down_makes_the_count_a_lower_bound(client: Client) -> None:
    sign_in(client)
    make_alert(upstream=make_upstream(name="seen"))
    make_upstream(name="gone", error="It is down.")
    assert dashboard().alerts_sight.state == "partial"
    assert "at least" in page(client)


def test_with_everything_live_and_nothing_firing_it_says_so(client: Client) -> None:
    sign_in(client)
    make_upstream()
    make_sentry()
    html = page(client)
    assert "Nothing is firing." in html
    assert "cannot be seen" not in html.replace("service states cannot be seen", "")


def test_alerts_are_counted_by_severity_most_urgent_first() -> None:
    upstream = make_upstream()
    for severity, state in (
        ("info", "firing"), ("critical", "firing"), ("critical", "suppressed"), ("", "firing"), ("warning", "resolved"),
    ):  # fmt: skip
        make_alert(upstream=upstream, severity=severity, state=state)
    make_alert(upstream=upstream, severity="critical", acknowledged_at=NOW, acknowledged_by="ann")
    make_silence(upstream=upstream)
    now = dashboard()
    counts = [(c.severity, c.firing, c.suppressed, c.unacknowledged) for c in now.severities]
    assert counts == [("critical", 2, 1, 1), ("info", 1, 0, 1), ("", 1, 0, 1)]
    assert (now.firing, now.suppressed, now.active_silences) == (4, 1, 1)
    assert {alert.state for alert in now.newest} == {"firing"}


def test_the_newest_firing_alerts_are_shown_newest_first() -> None:
    upstream = make_upstream()
    for minutes in (3, 1, 9, 2, 8, 5, 7, 4, 6):
        started = NOW - timedelta(minutes=minutes)
        make_alert(upstream=upstream, alertname=f"A{minutes}", starts_at=started)
    assert [alert.alertname for alert in dashboard().newest] == [f"A{n}" for n in range(1, 9)]


def test_services_of_a_prometheus_that_does_not_answer_are_unknown() -> None:
    blind = make_upstream(kind="prometheus", name="blind", error="It is down.")
    make_status(make_service(), "up", upstream=blind)
    make_status(make_service(), "down", upstream=blind, reason="2 targets are down.")
    make_status(make_service(), "degraded")
    now = dashboard()
    assert {c.status: c.count for c in now.statuses} == {
        "down": 0,
        "degraded": 1,
        "unknown": 2,
        "up": 0,
    }
    assert [(trouble.status, "last known" in trouble.reason) for trouble in now.troubled] == [
        ("unknown", True),
        ("degraded", False),
    ]


def _queries(client: Client, path: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(path).status_code == 200
    return len(captured)


@pytest.mark.parametrize("path", ["/admin/", "/admin/live/", "/api/v1/dashboard/"])
def test_the_number_of_queries_is_the_same_for_10_and_1000_alerts(
    client: Client, path: str
) -> None:
    sign_in(client)
    upstream, prometheus = make_upstream(), make_upstream(kind="prometheus")

    def grow(count: int) -> None:
        services = [make_service() for _ in range(count // 10)]
        ServiceStatus.objects.bulk_create(
            ServiceStatus(
                service=s,
                upstream=prometheus,
                status=Status.DOWN,
                targets_status=Status.DOWN,
                since=NOW,
            )
            for s in services
        )
        Alert.objects.bulk_create(build_alert(upstream, service=services[0]) for _ in range(count))

    grow(10)
    _queries(client, path)  # the first request of a session also stores its times
    few = _queries(client, path)
    grow(990)
    assert _queries(client, path) == few <= 17


def test_open_alerts_are_found_without_reading_the_history() -> None:
    upstream = make_upstream()
    Alert.objects.bulk_create(
        build_alert(upstream, state="resolved", starts_at=NOW - timedelta(minutes=n), ends_at=NOW)
        for n in range(3000)
    )
    Alert.objects.bulk_create(
        build_alert(upstream, starts_at=NOW - timedelta(days=9)) for _ in range(5)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE alerts_alert")
    with CaptureQueriesContext(connection) as captured:
        dashboard()
    plans = []
    for query in captured:
        if 'FROM "alerts_alert"' in query["sql"]:
            with connection.cursor() as cursor:
                cursor.execute("EXPLAIN " + query["sql"])
                plans.append("\n".join(row[0] for row in cursor.fetchall()))
    assert len(plans) == 2
    for plan in plans:
        # Both are partial: they hold open episodes only.
        assert "alert_open" in plan or "alert_one_open_episode" in plan, plan


def test_the_page_is_closed_without_a_verified_factor(client: Client) -> None:
    sign_in(client, make_user(verified=False))
    for path in ("/admin/", "/admin/live/"):
        assert client.get(path).status_code == 302
    assert client.get("/api/v1/dashboard/").status_code in (401, 403)
