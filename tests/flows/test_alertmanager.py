"""An alert's way through a real Alertmanager: listed, notified by webhook, silenced, restarted away."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from django.test import Client
from django.urls import reverse
from pytest_django.live_server_helper import LiveServer

from alerts import silences
from alerts.models import Alert, Silence
from audit.models import AuditEntry
from monitoring import polling
from portal.core.matchers import parse
from portal.core.models import Upstream
from security import tokens
from tests.factories import make_upstream, make_user
from tests.fakes import stamp
from tests.stack import free_port, push, real_alertmanager, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.stack]


def alert(name: str, *, ends_in: timedelta = timedelta(minutes=10)) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "labels": {"alertname": name, "severity": "critical", "job": "api"},
        "annotations": {"summary": f"{name} happened"},
        "startsAt": stamp(now - timedelta(minutes=1)),
        "endsAt": stamp(now + ends_in),
    }


@pytest.fixture
def token() -> str:
    return tokens.create(user=make_user(), name="test", scopes=["admin"])[1]


@pytest.fixture
def alertmanager(live_server: LiveServer, token: str) -> Iterator[Upstream]:
    """A real Alertmanager that posts to the live server, and its row."""
    hook = live_server.url + reverse("hook-alertmanager", args=["am"])
    with real_alertmanager(webhook=hook, token=token) as url:
        yield make_upstream(name="am", url=url)


def test_firing_and_resolved_arrive_by_webhook_and_poll_agrees(alertmanager: Upstream) -> None:
    push(alertmanager.url, [alert("Broken")])
    until(Alert.objects.exists, "no webhook came")
    assert polling.poll(alertmanager.pk).error == ""
    episode = Alert.objects.get()
    assert (episode.alertname, episode.state, episode.summary) == (
        "Broken",
        "firing",
        "Broken happened",
    )
    push(alertmanager.url, [alert("Broken", ends_in=timedelta(seconds=-1))])
    until(Alert.objects.filter(state="resolved").exists, "no resolved webhook came")
    episode.refresh_from_db()
    assert (episode.state, episode.closed_by) == ("resolved", "webhook")
    assert episode.resolved_after == episode.resolved_before == episode.ends_at


def test_a_silence_made_here_suppresses_there(alertmanager: Upstream, token: str) -> None:
    push(alertmanager.url, [alert("Noisy"), alert("Other")])
    until(
        lambda: polling.poll(alertmanager.pk) and Alert.objects.count() == 2,
        "the alerts were not listed",
    )
    noisy = Alert.objects.get(alertname="Noisy")
    reply = Client().post(
        f"/api/v1/alerts/{noisy.pk}/silence/",
        {"duration_seconds": 3600, "comment": "Planned work"},
        content_type="application/json",
        headers={"Authorization": f"Bearer {token}"},
    )
    assert reply.status_code == 201, reply.content

    def suppressed() -> bool:
        polling.poll(alertmanager.pk)
        noisy.refresh_from_db()
        return noisy.state == "suppressed"

    until(suppressed, "Alertmanager did not apply the silence")
    assert noisy.silenced_by == [Silence.objects.get().silence_id]
    assert AuditEntry.objects.filter(action="silence.created", reason="Planned work").exists()
    assert silences.expire(Silence.objects.get(), actor=None)
    until(lambda: not suppressed(), "the silence was not lifted")


def test_a_matching_preview_is_what_alertmanager_silences(alertmanager: Upstream) -> None:
    push(alertmanager.url, [alert("A"), alert("B"), alert("C")])
    until(
        lambda: polling.poll(alertmanager.pk) and Alert.objects.count() == 3,
        "the alerts were not listed",
    )
    matchers = [parse('alertname=~"A|B"'), parse('job!="web"')]
    expected = {a.alertname for a in silences.preview(alertmanager, matchers, most=9)[1]}
    end = datetime.now(UTC) + timedelta(hours=1)
    silences.create(alertmanager, matchers=matchers, ends_at=end, comment="Test", actor=None)

    def suppressed() -> set[str]:
        polling.poll(alertmanager.pk)
        return set(Alert.objects.filter(state="suppressed").values_list("alertname", flat=True))

    assert until(suppressed, "nothing was silenced") == expected == {"A", "B"}


def test_what_alertmanager_finds_wrong_with_a_silence_is_said_at_its_matchers(
    alertmanager: Upstream, token: str
) -> None:
    """Which names a label may have, is for its version to say: from 0.28 on, any."""
    matcher, ends = {"name": "1st", "value": "x"}, stamp(datetime.now(UTC) + timedelta(hours=1))
    direct = {"matchers": [{**matcher, "isRegex": False}], "startsAt": stamp(datetime.now(UTC)),
              "endsAt": ends, "createdBy": "test", "comment": "Work"}  # fmt: skip
    taken = requests.post(f"{alertmanager.url}/api/v2/silences", json=direct, timeout=10).ok
    body = {
        "upstream": "am",
        "matchers": [{**matcher, "operator": "="}],
        "ends_at": ends,
        "comment": "Work",
    }
    client = Client(headers={"Authorization": f"Bearer {token}"})
    reply = client.post("/api/v1/silences/", body, content_type="application/json")
    assert reply.status_code == (201 if taken else 400)
    assert ("invalid label name" in str(reply.json().get("errors"))) is not taken
    assert Silence.objects.exists() is taken


def test_a_restart_that_forgets_everything_resolves_nothing() -> None:
    port = free_port()
    with real_alertmanager(port=port) as url:
        upstream = make_upstream(name="am", url=url)
        push(url, [alert(f"A{n}") for n in range(30)])
        until(lambda: polling.poll(upstream.pk) and Alert.objects.count() == 30, "not listed")
    assert "connection refused" in polling.poll(upstream.pk).error
    with real_alertmanager(port=port):
        for _ in range(3):
            assert polling.poll(upstream.pk).error == ""
    upstream.refresh_from_db()
    assert Alert.objects.open().count() == 30
    assert "started" in upstream.settling_reason


def test_a_silence_is_extended_and_ended_through_the_api(
    alertmanager: Upstream, token: str
) -> None:
    client = Client(headers={"Authorization": f"Bearer {token}"})
    matchers = [{"name": "alertname", "operator": "=", "value": "A"}]
    now = datetime.now(UTC)
    body = {
        "upstream": "am",
        "matchers": matchers,
        "ends_at": stamp(now + timedelta(hours=1)),
        "comment": "Work",
    }
    made = client.post("/api/v1/silences/", body, content_type="application/json").json()
    later = stamp(now + timedelta(hours=3))
    change = {"matchers": matchers, "ends_at": later, "comment": "More work"}
    path = f"/api/v1/silences/{made['id']}/"
    changed = client.put(path, change, content_type="application/json").json()
    assert (changed["silence_id"], changed["comment"]) == (made["silence_id"], "More work")
    polling.poll(alertmanager.pk)
    assert stamp(Silence.objects.get().ends_at) == later
    assert client.delete(path).status_code == 204
    assert client.delete(path).status_code == 409
    polling.poll(alertmanager.pk)
    assert Silence.objects.get().state(at=datetime.now(UTC)) == "expired"
