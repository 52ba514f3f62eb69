"""`/metrics`: for whom, what, at what cost, and correct over several processes."""

import os
import re
import subprocess
import sys
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest
from django.conf import settings as configured
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from alerts.models import HookDelivery
from portal import gauges
from portal.core.embedded.places import BASE_DIR
from portal.tasks import worker_heartbeat
from security import tokens
from security.models import Scope
from tests.factories import make_alert, make_service, make_status, make_upstream, make_user

LINE = re.compile(r"^(portal_\w+)(\{.*\})? (\S+)$", re.M)


def scrape(client: Client) -> dict[str, float]:
    """Return the portal's own samples by name and labels."""
    reply = client.get("/metrics", HTTP_AUTHORIZATION=f"Bearer {configured.METRICS_TOKEN}")
    assert reply.status_code == 200
    return {
        name + labels: float(value) for name, labels, value in LINE.findall(reply.content.decode())
    }


@pytest.mark.django_db
@pytest.mark.parametrize(
    "written", ["", "Bearer ", "Bearer wrong", "Basic abc", "Bearer \ud800é", "bearer"]
)
def test_strangers_get_a_problem(written: str, client: Client) -> None:
    reply = client.get("/metrics", HTTP_AUTHORIZATION=written)
    assert reply.status_code == 403
    assert reply["Content-Type"] == "application/problem+json"
    assert b"portal_" not in reply.content


@pytest.mark.django_db
@pytest.mark.parametrize(
    "scope, status", [(Scope.METRICS, 200), (Scope.ADMIN, 200), (Scope.READ, 403)]
)
def test_a_token_needs_the_scope(scope: str, status: int, client: Client) -> None:
    _token, written = tokens.create(user=make_user(), name="scraper", scopes=[scope])
    assert client.get("/metrics", HTTP_AUTHORIZATION=f"Bearer {written}").status_code == status


@pytest.mark.django_db
@pytest.mark.parametrize("network, status", [("127.0.0.0/8", 200), ("10.0.0.0/8", 403)])
def test_a_network_may_be_let_in(
    network: str, status: int, client: Client, settings: Settings
) -> None:
    settings.METRICS_NETWORKS = [ip_network(network)]
    assert client.get("/metrics").status_code == status


@pytest.mark.django_db
def test_the_gauges_say_what_the_database_holds(client: Client) -> None:
    now = timezone.now()
    make_upstream(name="good", kind="prometheus", duration_seconds=0.25)
    make_upstream(
        name="bad",
        kind="alertmanager",
        error="Nothing is listening.",
        error_since=now - timedelta(hours=1),
    )
    make_upstream(name="new", live=False)
    service = make_service(slug="api")
    make_status(service=service, status="degraded")
    make_alert(severity="critical")
    HookDelivery.objects.create(
        upstream=make_upstream(name="third"),
        body=b"{}",
        digest=b"1" * 16,
        received_at=now - timedelta(minutes=2),
    )
    worker_heartbeat()
    found = scrape(client)
    assert found['portal_upstream_up{kind="prometheus",upstream="good"}'] == 1
    assert found['portal_upstream_up{kind="alertmanager",upstream="bad"}'] == 0
    assert found['portal_upstream_failing_seconds{kind="alertmanager",upstream="bad"}'] >= 3600
    assert found['portal_upstream_poll_duration_seconds{kind="prometheus",upstream="good"}'] == 0.25
    assert not [name for name in found if 'upstream="new"' in name]
    assert found['portal_alerts{severity="critical",state="firing"}'] == 1
    assert found['portal_service_status{service="api",status="degraded"}'] == 1
    assert found['portal_service_status{service="api",status="up"}'] == 0
    assert found["portal_hook_deliveries_waiting"] == 1
    assert found["portal_hook_deliveries_oldest_age_seconds"] >= 120
    assert found["portal_worker_heartbeat_age_seconds"] < 60
    assert found["portal_database_up"] == 1
    assert found["portal_database_size_bytes"] > 1_000_000
    assert found['portal_database_connections{state="active"}'] >= 1


@pytest.mark.django_db
def test_the_number_of_statements_does_not_grow() -> None:
    counts = []
    for _ in range(2):
        with CaptureQueriesContext(connection) as captured:
            list(gauges.families(gauges.read(at=timezone.now())))
        counts.append(len(captured))
        for number in range(5):
            make_alert(severity=f"level-{number}")
            make_status(service=make_service())
    assert counts == [15, 15]


def test_without_a_database_it_still_answers(client: Client, broken_database: None) -> None:
    found = scrape(client)
    assert found["portal_database_up"] == 0
    assert found['portal_build_info{version="%s"}' % configured.VERSION] == 1  # noqa: UP031 - braces
    assert not [name for name in found if name.startswith("portal_upstream_up")]


@pytest.mark.django_db
def test_without_a_heartbeat_no_age_is_invented(client: Client) -> None:
    assert "portal_worker_heartbeat_age_seconds" not in scrape(client)


COUNTING = """
import django; django.setup()
from prometheus_client import REGISTRY
from portal.core.http import REQUEST_SECONDS
REQUEST_SECONDS.labels("counted", "success").observe(1)
"""
READING = """
import django; django.setup()
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
registry = CollectorRegistry(); MultiProcessCollector(registry)
print(generate_latest(registry).decode())
"""


@pytest.fixture
def several(tmp_path: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path),
        "DJANGO_SETTINGS_MODULE": "tests.settings",
    }


def test_what_several_processes_count_is_added_up(several: dict[str, str]) -> None:
    """Two that have ended already and one that reads: none is forgotten, none counted twice."""
    for _ in range(2):
        subprocess.run([sys.executable, "-c", COUNTING], env=several, cwd=BASE_DIR, check=True)
    read = subprocess.run(
        [sys.executable, "-c", READING],
        env=several,
        cwd=BASE_DIR,
        check=True,
        capture_output=True,
        text=True,
    )
    line = 'portal_upstream_request_seconds_count{outcome="success",upstream="counted"} 2.0'
    assert line in read.stdout
