"""Scrape targets through admin and API, and http_sd: for whom, at what cost, and with a real Prometheus."""

import re
import time
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as configured
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from monitoring.models import ScrapeTarget
from portal.core.embedded.places import BASE_DIR
from portal.core.models import Service
from security import tokens
from tests.factories import make_scrape_target, make_service, make_user, sign_in
from tests.stack import asked, free_port, real_prometheus, until

PATH = "/api/v1/discovery/prometheus/"
METRICS = {"Authorization": f"Bearer {configured.METRICS_TOKEN}"}
pytestmark = pytest.mark.django_db


def bearer(*scopes: str) -> dict[str, str]:
    token = tokens.create(user=make_user(), name="prometheus", scopes=[*scopes])[1]
    return {"Authorization": f"Bearer {token}"}


def test_prometheus_reads_the_enabled_targets(client: Client) -> None:
    shop = make_service(slug="shop")
    make_scrape_target(shop, address="10.0.0.1:9100", labels={"zone": "a"})
    make_scrape_target(shop, address="10.0.0.2:9100", enabled=False)
    answer = client.get(PATH, headers=METRICS)
    assert answer["Content-Type"] == "application/json"
    own = {"job": "shop", "service": "shop", "__scheme__": "http", "__metrics_path__": "/metrics"}
    assert answer.json() == [{"targets": ["10.0.0.1:9100"], "labels": {"zone": "a", **own}}]


def test_an_etag_holds_until_a_target_changes(client: Client) -> None:
    target = make_scrape_target()
    etag = client.get(PATH, headers=METRICS)["ETag"]
    known = {**METRICS, "If-None-Match": f'"other", W/{etag}'}
    again = client.get(PATH, headers=known)
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", etag)
    ScrapeTarget.objects.filter(pk=target.pk).update(address="10.9.9.9:1")
    assert client.get(PATH, headers=known).status_code == 200


@pytest.mark.parametrize(
    "scope, status", [("read", 200), ("metrics", 200), ("admin", 200), ("audit:write", 403)]
)
def test_a_token_needs_a_scope(scope: str, status: int, client: Client) -> None:
    assert client.get(PATH, headers=bearer(scope)).status_code == status


@pytest.mark.parametrize("written", ["", "Bearer wrong", "Bearer dop_pat_x", "Basic abc"])
def test_strangers_get_a_problem(written: str, client: Client) -> None:
    answer = client.get(PATH, headers={"Authorization": written})
    assert answer.status_code == 403
    assert answer["Content-Type"] == "application/problem+json"
    assert "METRICS_TOKEN" in answer.json()["detail"]


def test_a_network_or_a_person_may_read_it(client: Client, settings: Settings) -> None:
    sign_in(client)
    assert client.get(PATH).status_code == 200
    settings.METRICS_NETWORKS = [ip_network("127.0.0.0/8")]
    assert Client().get(PATH).status_code == 200


@pytest.mark.parametrize("count", [1, 200])
def test_a_reading_costs_one_query(count: int, client: Client) -> None:
    service = make_service()
    for _ in range(count):
        make_scrape_target(service, address=f"10.1.{_ // 250}.{_ % 250}:9100")
    with CaptureQueriesContext(connection, ) as queries:  # fmt: skip
        assert client.get(PATH, headers=METRICS).status_code == 200
    assert len(queries) == 1, [query["sql"] for query in queries]


def send(client: Client, body: dict[str, Any], headers: dict[str, str]) -> Any:
    path = "/api/v1/scrape-targets/"
    return client.post(path, body, content_type="application/json", headers=headers)


def test_a_target_is_made_and_changed_by_api(client: Client) -> None:
    make_service(slug="shop")
    headers = bearer("monitoring:write", "read")
    made = send(client, {"service": "shop", "address": "http://Shop.example:9100/"}, headers)
    assert (made.status_code, made.json()["address"]) == (201, "shop.example:9100")
    again = send(client, {"service": "shop", "address": "shop.example:9100"}, headers)
    assert (again.status_code, "already" in str(again.json())) == (400, True)
    path = f"/api/v1/scrape-targets/{made.json()['id']}/"
    changed = client.patch(path, {"scheme": "https"}, content_type="application/json", headers=headers)  # fmt: skip
    assert (changed.status_code, changed.json()["scheme"]) == (200, "https")
    assert client.delete(path, headers=headers).status_code == 204


@pytest.mark.parametrize(
    "over, field",
    [({"address": "169.254.169.254:80"}, "address"), ({"address": "shop"}, "address"), ({"scheme": "ftp"}, "scheme"),
     ({"metrics_path": "m"}, "metrics_path"), ({"labels": {"__x": "y"}}, "labels"), ({"labels": []}, "labels"),
     ({"service": "nobody"}, "service")],
)  # fmt: skip
def test_a_wrong_target_is_refused_with_its_field(
    over: dict[str, Any], field: str, client: Client
) -> None:
    make_service(slug="shop")
    answer = send(client, {"service": "shop", "address": "a:1", **over}, bearer("monitoring:write"))
    assert answer.status_code == 400
    assert field in answer.json()["errors"]


def inline(*addresses: str, **over: str) -> dict[str, str]:
    """Return the form of a new service with scrape targets."""
    facts = {"name": "Shop", "slug": "shop", "matchers": "", "labels": "{}", **over}
    facts |= {
        "scrape_targets-TOTAL_FORMS": str(len(addresses)),
        "scrape_targets-INITIAL_FORMS": "0",
    }
    for n, address in enumerate(addresses):
        row = {"address": address, "scheme": "http", "metrics_path": "/metrics", "labels": "{}"}
        row["enabled"] = "on"
        facts |= {f"scrape_targets-{n}-{name}": value for name, value in row.items()}
    return facts


def test_the_page_of_a_service_refuses_a_metadata_address(client: Client) -> None:
    sign_in(client)
    answer = client.post(reverse("admin:core_service_add"), inline("169.254.169.254:80"))
    assert "metadata" in answer.content.decode()
    assert not Service.objects.exists()


def test_the_pages_of_scrape_targets_are_there(client: Client) -> None:
    sign_in(client)
    target = make_scrape_target(labels={"zone": "a"})
    assert (
        "zone=a" in client.get(reverse("admin:monitoring_scrapetarget_changelist")).content.decode()
    )
    assert client.get(target.get_absolute_url()).status_code == 200
    assert client.get(target.service.get_absolute_url()).status_code == 200


@pytest.fixture
def prometheus(live_server: LiveServer, tmp_path: Path) -> Iterator[str]:
    """A Prometheus with the file of the containers, which asks the portal every second."""
    text = (BASE_DIR / "docker" / "prometheus" / "prometheus.yml").read_text()
    assert text.count("http://portal:8000/") == 2, "the comment and the job"
    text = re.sub(r"(refresh_interval|scrape_interval|scrape_timeout): \d+s", r"\1: 1s", text)
    text = text.replace("http://portal:8000", live_server.url)
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "metrics_token").write_text(configured.METRICS_TOKEN)
    with real_prometheus(tmp_path, text, port=free_port()) as url:
        yield url


@pytest.mark.stack
@pytest.mark.django_db(transaction=True)
def test_a_service_added_in_the_admin_is_scraped(prometheus: str, client: Client) -> None:
    sign_in(client)
    address = prometheus.removeprefix("http://")  # it can scrape itself
    assert client.post(reverse("admin:core_service_add"), inline(address)).status_code == 302
    began = time.monotonic()

    def health() -> bool:
        targets = asked(f"{prometheus}/api/v1/targets")["activeTargets"]
        found = [t for t in targets if t["labels"].get("service") == "shop"]
        return [(t["health"], t["labels"]["job"]) for t in found] == [("up", "shop")]

    until(health, "Prometheus did not scrape the new service")
    assert time.monotonic() - began < 20
    ScrapeTarget.objects.update(enabled=False)
    until(lambda: not health(), "Prometheus did not forget the disabled target")
