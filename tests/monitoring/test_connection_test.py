"""The connection test against servers that misbehave: each fault has its sentence."""

import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from alerts.models import HookDelivery
from audit.models import AuditEntry
from monitoring import connection_test
from portal.core.models import Upstream
from security import tokens
from tests.core.hostile import certificate, reply, serving
from tests.factories import make_upstream, make_user
from tests.fakes import FakeAlertmanager, fake_alertmanager, wire_alert

pytestmark = pytest.mark.django_db
EMPTY = json.dumps(
    {"status": "success", "data": {"activeTargets": [], "groups": [], "version": "2.42.0"}}
).encode()


def outcome_of(kind: str, url: str, **over: Any) -> connection_test.Result:
    return connection_test.run(make_upstream(kind=kind, url=url, **over), actor=None)


@pytest.mark.parametrize("kind", ["prometheus", "alertmanager", "crowdsec", "elasticsearch"])
@pytest.mark.parametrize(
    "status, body, words",
    [
        ("404 Not Found", b"404 page not found", "has a path prefix, such as http://127.0.0.1"),
        ("401 Unauthorized", b"{}", "rejected the credentials (HTTP 401"),
        ("403 Forbidden", b'{"message": "no"}', "for this request (HTTP 403: no). Give the user or token"),
        ("500 Internal Server Error", b"{}", "See the log of that server"),
        ("200 OK", b"<!DOCTYPE html><p>Sign in", "HTML page instead of JSON"),
    ],
    ids=["wrong path", "unknown token", "missing scope", "failing", "html"],
)  # fmt: skip
def test_a_wrong_answer_has_fault_and_cure(kind: str, status: str, body: bytes, words: str) -> None:
    with serving(reply(body, status)) as url:
        result = outcome_of(kind, url, credentials={"machine": "m", "password": "p"})
    assert not result.ok
    assert words in result.sentence or (kind == "crowdsec" and status == "200 OK")
    entries = AuditEntry.objects.using("autocommit")
    assert entries.filter(action="integration.test_failed").exists()


def test_a_path_prefix_that_is_wrong_is_named() -> None:
    with serving(reply(b"404", "404 Not Found")) as url:
        assert (
            "The URL ends in /prom: remove that" in outcome_of("prometheus", f"{url}/prom").sentence
        )


@pytest.mark.parametrize(
    "made, over, words",
    [
        ({"days": -1}, {}, "has expired. Renew it"),
        ({}, {}, "signed by an unknown CA. Set the option ca_file"),
        ({"address": "127.0.0.9"}, {"trusted": True}, "is for another host name"),
    ],
    ids=["expired", "unknown CA", "another name"],
)
def test_tls_that_fails_is_explained(
    made: dict[str, Any], over: dict[str, bool], words: str, tmp_path: Path
) -> None:
    context, pem = certificate(tmp_path, **made)
    trusted = bool(over) or made.get("days", 1) < 0
    options = {"ca_file": str(pem)} if trusted else {}
    with serving(reply(EMPTY), context) as url:
        assert words in outcome_of("prometheus", url, options=options).sentence


def test_a_certificate_that_ends_soon_is_a_warning(tmp_path: Path) -> None:
    context, pem = certificate(tmp_path, days=5)
    with serving(reply(EMPTY), context) as url:
        result = outcome_of("prometheus", url, options={"ca_file": str(pem)})
    assert result.ok, result
    assert "Renew it on that server before then." in result.warnings[0]
    with serving(reply(EMPTY), certificate(tmp_path, days=60)[0]) as url:
        assert outcome_of("prometheus", url, options={"verify_tls": False}).warnings == ()


def test_a_wrong_clock_is_a_warning() -> None:
    date = (datetime.now(UTC) + timedelta(hours=1)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    with serving(reply(EMPTY, "200 OK", f"Date: {date}")) as url:
        result = outcome_of("prometheus", url)
    assert result.ok, result
    assert "ahead of the portal's. Synchronise both with NTP." in result.warnings[0]


def test_a_closed_port_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert "Nothing is listening" in outcome_of("alertmanager", f"http://127.0.0.1:{port}").sentence


def test_a_kind_nobody_can_ask_is_told() -> None:
    assert "cannot test a server of kind" in outcome_of("portal", "http://127.0.0.1:9").sentence


@pytest.fixture
def fake() -> Iterator[FakeAlertmanager]:
    with fake_alertmanager() as server:
        began = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
        server.alerts = [wire_alert(1, startsAt=began)]
        yield server


def configured(fake: FakeAlertmanager, text: str) -> Upstream:
    fake.config = text
    return make_upstream(name="am", url=fake.url)


HOOKED = "webhook_configs: [{url: http://portal:8000/api/v1/hooks/alertmanager/am/}]"


@pytest.mark.parametrize(
    "config, delivered, words",
    [
        ("receivers: []", False, "has no webhook to this portal"),
        ("webhook_configs: [{url: http://other/}]", False, "has no webhook to this portal"),
        (HOOKED, False, "no webhook of this Alertmanager has arrived"),
        ("webhook_configs:\n- url: <secret>", False, "no webhook of this Alertmanager has arrived"),
        (HOOKED, True, ""),
    ],
)
def test_a_webhook_that_does_not_arrive_is_a_warning(
    config: str, delivered: bool, words: str, fake: FakeAlertmanager
) -> None:
    upstream = configured(fake, config)
    if delivered:
        HookDelivery.objects.create(
            upstream=upstream, received_at=timezone.now(), body=b"{}", digest=b"1" * 16
        )
    result = connection_test.run(upstream, actor=None)
    assert result.ok
    assert words in " ".join(result.warnings)
    assert bool(result.warnings) == bool(words)


def test_the_api_says_the_same(fake: FakeAlertmanager, client: Client) -> None:
    upstream = configured(fake, "receivers: []")
    token = tokens.create(user=make_user(), name="t", scopes=["monitoring:write"])[1]
    path = f"/api/v1/upstreams/{upstream.pk}/test/"
    said = client.post(path, headers={"Authorization": f"Bearer {token}"}).json()
    assert said["ok"]
    assert "api/v1/hooks/alertmanager/am/" in said["warnings"][0]
