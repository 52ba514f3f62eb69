"""Real applications with the snippets of the page: their metrics, errors, traces and entries arrive."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from pytest_django.live_server_helper import LiveServer

from audit.models import AuditEntry
from monitoring.models import Deploy
from portal.core.models import Service
from portal.snippets import DEPLOY, render
from security import tokens
from tests.applications import Application, node_shop, run_python
from tests.browser.stack import real_prometheus
from tests.conftest import Trail
from tests.factories import make_service, make_upstream, make_user
from tests.otlp import receiving
from tests.receiver import Receiver
from tests.stack import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.stack]


@pytest.fixture
def service() -> Service:
    return make_service(slug="shop", name="Shop", matchers=['job="shop"'])


@pytest.fixture
def environment(live_server: LiveServer) -> dict[str, str]:
    scopes = ["read", "audit:write"]
    token = tokens.create(user=make_user(), name="shop", scopes=scopes)[1]
    return {
        "PORTAL_URL": live_server.url,
        "PORTAL_TOKEN": token,
        "SENTRY_DSN": "",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "",
    }


@pytest.fixture
def shop(
    service: Service, environment: dict[str, str], request: pytest.FixtureRequest
) -> Iterator[Application]:
    with node_shop(service, environment, request.node.name) as application:
        yield application


def told(trail: Trail, action: str) -> list[AuditEntry]:
    return [entry for entry in trail() if entry.action == action]


def test_an_audit_entry_of_the_node_application_is_in_the_trail(
    shop: Application, trail: Trail
) -> None:
    assert shop.get("/pay").text == "paid\n"
    entry = until(lambda: told(trail, "payment.taken"), "no entry came", 20)[0]
    assert (entry.actor_name, entry.target_type, entry.target_id) == ("shop-till", "payment", "77")
    assert entry.data["service"] == "shop"
    assert entry.data["ingested_by"]["application"] == "shop"


def test_what_still_waits_is_sent_when_the_node_application_ends(
    shop: Application, trail: Trail
) -> None:
    for _ in range(30):
        shop.get("/pay")
    shop.stop()
    assert len(told(trail, "payment.taken")) == 30, shop.lines


def test_an_entry_that_is_refused_is_named_and_the_others_are_kept(
    shop: Application, trail: Trail
) -> None:
    shop.get("/odd")
    shop.stop()
    assert len(told(trail, "payment.refunded")) == 1, shop.lines
    (said,) = [line for line in shop.lines if "refused the audit entry" in line]
    assert "object.verb_past" in said


@pytest.mark.skipif(
    not shutil.which("curl"), reason="skipped: no curl on this machine. Install it."
)
def test_the_pipeline_s_snippet_tells_of_a_deploy(
    service: Service, environment: dict[str, str]
) -> None:
    written = tokens.create(user=make_user(), name="ci", scopes=["monitoring:write"])[1]
    where = {**environment, "PORTAL_TOKEN": written, "VERSION": "v1.4.2"}
    done = subprocess.run(
        ["sh", "-ec", render(DEPLOY, service)],
        env={**os.environ, **where}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    deploy = Deploy.objects.get()
    assert (deploy.service, deploy.version, deploy.environment) == (service, "v1.4.2", "production")


def test_metrics_of_the_node_application_are_on_a_chart(
    shop: Application, live_server: LiveServer, environment: dict[str, str]
) -> None:
    for _ in range(5):
        shop.get("/pay")
    with real_prometheus(jobs={"shop": shop.address}) as url:
        make_upstream(kind="prometheus", url=url, name="prom")
        query = 'sum by (route) (http_request_duration_seconds_count{service="shop"})'

        def drawn() -> object:
            answer = requests.get(
                f"{live_server.url}/api/v1/metrics/query_range/",
                {"query": query, "legend": "{{route}}"},
                headers={"Authorization": f"Bearer {environment['PORTAL_TOKEN']}"},
                timeout=10,
            ).json()
            assert not answer["error"], answer
            return "/pay" in [series["label"] for series in answer["series"]]

        until(drawn, "the curve of the route is not on the chart")


def test_a_crash_of_the_node_application_is_in_the_error_receiver(
    service: Service, environment: dict[str, str], receiver: Receiver
) -> None:
    with node_shop(service, {**environment, "SENTRY_DSN": receiver.dsn}, "crash") as shop:
        assert shop.get("/crash").status_code == 500
        shop.stop()
    crash = next(event for event in receiver.events() if event.get("platform") == "node")
    assert crash["exception"]["values"][0]["value"] == "the till is on fire"
    assert crash["tags"]["service"] == "shop"


def test_traces_and_logs_of_the_node_application_carry_the_same_id(
    service: Service, environment: dict[str, str]
) -> None:
    with receiving() as collector:
        where = {**environment, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        with node_shop(service, where, "traces") as shop:
            shop.get("/pay")
            shop.stop()
        spans = collector.spans()
    line = next(json.loads(text) for text in shop.lines if '"service.name"' in text)
    assert (line["service.name"], line["message"]) == ("shop", "A payment was taken.")
    assert line["trace.id"] in [trace for _kind, _name, trace in spans]


PYTHON = """
import logging
import errors, logs, traces
from audit import audit
from metrics import Measured, DURATION
from prometheus_client import generate_latest
with traces.tracer.start_as_current_span("charge"):
    audit.info("invoice.deleted", extra={"entry": {"actor_name": "billing", "target_id": "9"}})
    logging.info("An invoice was deleted.")
audit.info("Not An Action")
app = Measured(lambda environ, start: start("200 OK", []) or [b""], lambda environ: "/pay")
list(app({"PATH_INFO": "/pay", "REQUEST_METHOD": "GET"}, lambda *_: None))
print(generate_latest().decode())
"""


def test_the_python_snippets_run_as_they_are_printed(
    service: Service, environment: dict[str, str], tmp_path: Path, trail: Trail
) -> None:
    with receiving() as collector:
        where = {**environment, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        printed = run_python(PYTHON, service, tmp_path, where)
        assert [name for _kind, name, _trace in collector.spans()] == ["charge"]
    assert '"message": "An invoice was deleted."' in printed
    assert 'route="/pay",service="shop",status_code="200"' in printed
    assert "The portal refused the audit entry" in printed
    (entry,) = told(trail, "invoice.deleted")
    assert (entry.actor_name, entry.target_id, entry.data["service"]) == ("billing", "9", "shop")
