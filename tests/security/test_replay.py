"""Replays: they write nothing, one runs at a time, and rows, subjects, time and memory are bounded."""

import tracemalloc
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from security import replay
from security.models import Flag, RuleSetting
from security.rules import engine
from security.rules.events import Event, Kind
from tests.audit.builders import make_entries
from tests.factories import make_user, sign_in
from tests.security.builders import RULE_FORM

pytestmark = pytest.mark.django_db(transaction=True)
JSON: Any = {"content_type": "application/json"}


def past(days: int = 30, **over: Any) -> replay.Replay:
    now = timezone.now()
    return replay.replay(since=now - timedelta(days=days), until=now + timedelta(minutes=1), **over)


@pytest.fixture
def page() -> str:
    return f"/admin/security/rulesetting/{RuleSetting.objects.get(rule='mass_export').pk}/change/"


FORM = RULE_FORM | {"replay": "1"}


def test_a_second_replay_is_told_to_wait_and_the_first_leaves_no_lock(
    client: Client, page: str, another_connection: Any
) -> None:
    sign_in(client, make_user())
    body = {"since": (timezone.now() - timedelta(days=1)).isoformat()}
    another_connection.execute("SELECT pg_advisory_lock(%s)", [replay.LOCK])
    refused = client.post("/api/v1/detections/replay/", body, **JSON)
    assert (refused.status_code, "only one can run at a time" in refused.json()["detail"]) == (
        409,
        True,
    )
    assert "only one can run at a time" in client.post(page, FORM).content.decode()
    another_connection.execute("SELECT pg_advisory_unlock_all()")
    for _ in range(2):
        assert client.post("/api/v1/detections/replay/", body, **JSON).status_code == 200


def test_a_replay_needs_the_permission_to_change_rules(client: Client, page: str) -> None:
    user = make_user(username="watcher", is_superuser=False)
    user.user_permissions.add(Permission.objects.get(codename="view_rulesetting"))
    sign_in(client, user)
    assert "Replay" not in client.get(page).content.decode().partition("Thresholds")[2]
    assert client.post(page, FORM).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="change_rulesetting"))
    assert client.post(page, FORM).status_code == 200


@pytest.mark.parametrize("bound, value", [("MOST_EVENTS", 5), ("MOST_SECONDS", 0.0)])
def test_a_range_that_is_too_long_is_cut_and_said_so(
    monkeypatch: pytest.MonkeyPatch, bound: str, value: float
) -> None:
    make_entries(100, until=timezone.now(), days=1)
    assert not past().is_truncated
    monkeypatch.setattr(replay, bound, value)
    cut = past()
    assert cut.is_truncated
    assert cut.events <= 5


def test_only_the_strongest_subjects_are_kept() -> None:
    def attack(number: int) -> Iterator[Event]:
        for n in range(6 + number):  # a later address fails more often
            at, source = number * 10_000 + n, f"198.51.100.{number}"
            yield Event(
                number * 1000 + n, at, Kind.LOGIN_FAILED, address=source, account=f"user:{n % 2}"
            )

    settings = {"brute_force_address": {"burst": 5}}
    events = [event for number in range(40) for event in attack(number)]
    found, is_cut = engine.run_bounded(events, settings, most=5)
    assert is_cut
    assert found == engine.run(events, settings)[:5]


def test_a_long_replay_needs_no_more_memory_than_a_short_one() -> None:
    peaks = []
    for count in (4_000, 16_000):
        make_entries(count, until=timezone.now(), days=25)
        tracemalloc.start()
        events = past().events
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert events >= count / 5
    assert peaks[1] < 1.3 * peaks[0], peaks
    assert not Flag.objects.exists()
