"""Alerts of the portal itself: episodes like any other, with silences that are held here."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from alerts import dispatch, raised, router, services, silences
from alerts.models import Alert, State, TransitionKind
from alerts.notification_models import Notification, NotificationGroup
from portal.core.matchers import build
from portal.core.models import Freshness, Service
from tests.factories import make_channel, make_route, make_user

pytestmark = pytest.mark.django_db


def raise_one(**over: Any) -> Alert:
    facts: dict[str, Any] = {"alertname": "CheckFailing", "labels": {"check": "7"}}
    return services.raise_alert(**{**facts, **over})


def test_raising_twice_keeps_one_episode_and_the_newest_words() -> None:
    first = raise_one(annotations={"summary": "down"})
    second = raise_one(annotations={"summary": "still down"}, severity="critical")
    assert first.pk == second.pk
    assert (second.severity, second.summary) == ("critical", "still down")
    steps = [(t.kind, t.text) for t in second.transitions.order_by("id")]
    assert steps == [(TransitionKind.OPENED, ""), (TransitionKind.SEVERITY, "warning → critical")]
    raise_one(annotations={"summary": "worse"}, severity="critical")
    assert second.transitions.count() == 2


def test_another_severity_reaches_the_route_that_waits_for_it() -> None:
    pager = make_channel(name="pager")
    make_route(pager, matchers=['severity="critical"'])
    raise_one(severity="warning")
    router.route_waiting()
    dispatch.flush_due()
    assert not Notification.objects.filter(channel=pager).exists()
    raise_one(severity="critical")
    router.route_waiting()
    dispatch.flush_due()
    assert Notification.objects.get(channel=pager).outcome == "pending"


def test_another_severity_is_told_to_who_was_told_the_first_one_once() -> None:
    make_route(make_channel())
    for severity in ("warning", "critical", "critical"):
        raise_one(severity=severity)
        router.route_waiting()
        NotificationGroup.objects.update(next_flush_at=timezone.now())
        dispatch.flush_due()
    reasons = Notification.objects.order_by("id").values_list("reason", flat=True)
    assert list(reasons) == ["first", "severity"]


def test_cleared_alert_ends_exactly_then_and_fires_again_as_a_new_episode() -> None:
    alert, end = raise_one(), timezone.now()
    assert services.clear_alert(alertname="CheckFailing", labels={"check": "7"}, at=end)
    alert.refresh_from_db()
    assert (alert.state, alert.resolved_after, alert.resolved_before) == ("resolved", end, end)
    assert not services.clear_alert(alertname="CheckFailing", labels={"check": "7"})
    assert raise_one().pk != alert.pk


def test_service_comes_from_the_caller_or_from_the_labels() -> None:
    shop = Service.objects.create(slug="shop", name="Shop")
    assert raise_one(service=shop).service == shop
    assert raise_one(labels={"service": "shop"}).service == shop


def test_its_upstream_is_always_live_and_never_polled() -> None:
    ours = raise_one().upstream
    assert ours.freshness(at=timezone.now()) == Freshness.LIVE
    assert not ours.enabled


def test_silence_on_an_own_alert_suppresses_it_until_it_ends() -> None:
    alert = raise_one()
    services.silence(alert, duration=timedelta(hours=1), comment="known", actor=make_user())
    alert.refresh_from_db()
    assert alert.state == State.SUPPRESSED
    raised.apply_silences(at=timezone.now() + timedelta(hours=2))
    alert.refresh_from_db()
    assert (alert.state, alert.silenced_by) == (State.FIRING, [])


def test_an_alert_raised_under_a_silence_is_suppressed_from_the_start() -> None:
    silences.create(
        raised.upstream(),
        matchers=[build("alertname", "=", "CheckFailing")],
        ends_at=timezone.now() + timedelta(hours=1),
        comment="moving house",
        actor=make_user(),
    )
    assert raise_one().state == State.SUPPRESSED


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("trail")
def test_racing_workers_open_one_episode() -> None:
    raised.upstream()

    def work(_number: int) -> int:
        try:
            return raise_one().pk
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(work, range(12)))) == 1


def test_an_alert_that_is_cleared_while_it_is_raised_is_raised_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, looks = raise_one(), iter((True, False))
    real = raised._bring_up_to_date

    def clear_between(*args: Any, **options: Any) -> None:
        if next(looks):
            services.clear_alert(alertname="CheckFailing", labels={"check": "7"})
        else:
            real(*args, **options)

    monkeypatch.setattr(raised, "_bring_up_to_date", clear_between)
    second = raise_one()
    assert (second.state, second.pk != first.pk) == ("firing", True)
