"""Silences by the clock of the Alertmanager that holds them, which may be another than ours."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from alerts import silences
from alerts.alertmanager import Alertmanager
from portal.core.matchers import build
from tests.factories import make_silence, make_upstream, make_user, sign_in

pytestmark = pytest.mark.django_db
SECOND = timedelta(seconds=1)
HOURS = timedelta(hours=2)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Return what Alertmanager is asked to hold, and let it take everything."""
    bodies: list[dict[str, Any]] = []

    def take(_client: Alertmanager, body: dict[str, Any]) -> str:
        bodies.append(body)
        return str(body.get("id", "new"))

    monkeypatch.setattr(Alertmanager, "create_silence", take)
    monkeypatch.setattr(Alertmanager, "expire_silence", lambda *_: None)
    return bodies


@pytest.mark.parametrize("skew", [-3600, 0, 3600])
def test_a_silence_begins_now_by_the_clock_of_its_alertmanager(
    sent: list[dict[str, Any]], skew: int
) -> None:
    """By ours, one an hour behind would let it wait an hour, and one ahead refuse a short one as over."""
    upstream = make_upstream(clock_skew_seconds=skew)
    there = timezone.now() + timedelta(seconds=skew)
    facts: dict[str, Any] = {"matchers": [build("a", "=", "b")], "comment": "work"}
    end = timezone.now() + HOURS
    made = silences.create(upstream, ends_at=end, actor=make_user(), **facts)
    begun = datetime.fromisoformat(sent[0]["startsAt"])
    assert abs(begun - there) < 10 * SECOND
    assert abs(datetime.fromisoformat(sent[0]["endsAt"]) - there - HOURS) < 10 * SECOND
    assert made.starts_at == begun
    silences.create(upstream, ends_at=made.ends_at, actor=make_user(), replaces=made, **facts)
    assert (sent[1]["startsAt"], sent[1]["endsAt"]) == (sent[0]["startsAt"], sent[0]["endsAt"])


def test_a_silence_is_ended_by_the_clock_of_its_alertmanager(sent: list[dict[str, Any]]) -> None:
    upstream = make_upstream(clock_skew_seconds=-3600)
    there = timezone.now() - timedelta(hours=1)
    silence = make_silence(upstream=upstream, starts_at=there - HOURS, ends_at=there + HOURS / 4)
    assert silences.expire(silence, actor=make_user())
    silence.refresh_from_db()
    assert abs(silence.ends_at - there) < 10 * SECOND


@pytest.mark.parametrize("skew", [-3600, 0, 3600])
def test_the_state_is_by_the_clock_of_its_alertmanager_in_each_door(
    client: Client, skew: int
) -> None:
    sign_in(client)
    upstream = make_upstream(clock_skew_seconds=skew)
    there, half = timezone.now() + timedelta(seconds=skew), timedelta(minutes=30)
    begun = {"pending": there + half, "active": there - half, "expired": there - 3 * half}
    rows = {
        state: make_silence(upstream=upstream, starts_at=at, ends_at=at + 2 * half, comment=state)
        for state, at in begun.items()
    }
    for state, row in rows.items():
        (shown,) = client.get(f"/api/v1/silences/?state={state}").json()["results"]
        assert (shown["id"], shown["state"]) == (row.pk, state)
    for query, states in (("", {"pending", "active"}), ("?state=expired", {"expired"})):
        page = client.get(f"/admin/alerts/silence/{query}").content.decode()
        assert {state for state, row in rows.items() if f"/{row.pk}/change/" in page} == states
    assert client.get("/api/v1/dashboard/").json()["active_silences"] == 1
