"""What fires when routes or channels change: told to whom it should be, and to nobody twice."""

from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from redis.exceptions import ConnectionError as RedisConnectionError

from alerts import channels, rerouting, service_assignment, services
from alerts.models import Transition
from alerts.notification_models import Notification
from alerts.tasks import dispatch_notifications
from tests.alerts.test_delivery import fire, later, log
from tests.factories import (
    make_alert,
    make_channel,
    make_route,
    make_service,
    make_transition,
    make_user,
)
from tests.receivers import Receiver, http_receiver

pytestmark = pytest.mark.django_db


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with http_receiver() as found:
        yield found


def told(receiver: Receiver) -> list[str]:
    return [request.path for request in receiver.requests]


def test_a_route_that_is_made_while_an_alert_fires_tells_of_it(receiver: Receiver) -> None:
    fire()
    dispatch_notifications()
    assert log() == [("withheld", "no_route")]
    make_route(make_channel(receiver.url()))
    dispatch_notifications()
    dispatch_notifications()
    assert log()[1:] == [("sent", "first")]


def test_a_channel_that_was_off_hears_of_what_still_fires(receiver: Receiver) -> None:
    channel = make_channel(receiver.url(), enabled=False)
    make_route(channel)
    fire()
    dispatch_notifications()
    assert log() == [("withheld", "channel_off")]
    channel.enabled = True
    channels.save(channel, actor=None)
    dispatch_notifications()
    assert log()[1:] == [("sent", "first")]


def test_only_the_channel_that_is_new_on_a_route_is_told(receiver: Receiver) -> None:
    old, new = make_channel(receiver.url(path="old")), make_channel(receiver.url(path="new"))
    route = make_route(old)
    fire()
    dispatch_notifications()
    route.channels.add(new)
    for _ in range(2):
        dispatch_notifications()
        later(minutes=6)
    assert told(receiver) == ["/old", "/new"]


def test_a_change_that_concerns_nobody_tells_nobody_and_writes_nothing(receiver: Receiver) -> None:
    """Also when Redis has forgotten which routes there were."""
    make_route(make_channel(receiver.url()))
    fire()
    dispatch_notifications()
    make_route(make_channel(receiver.url()), matchers=['severity="nothing like it"'])
    dispatch_notifications()
    cache.clear()
    dispatch_notifications()
    later(minutes=6)
    dispatch_notifications()
    assert log() == [("sent", "first")]
    assert not Transition.objects.filter(routed_at=None).exists()


def test_what_somebody_works_on_and_what_is_only_shown_is_left_alone(receiver: Receiver) -> None:
    services.acknowledge([fire()], actor=make_user())
    make_transition(make_alert(), source="demo")
    dispatch_notifications()
    make_route(make_channel(receiver.url()))
    dispatch_notifications()
    assert told(receiver) == []


def test_a_change_of_severity_is_not_told_twice(receiver: Receiver) -> None:
    """It is the last news of the alert, but what is held against the routes anew is its beginning."""
    make_route(make_channel(receiver.url()))
    for severity in ("warning", "critical"):
        services.raise_alert(alertname="Own", labels={}, severity=severity)
        dispatch_notifications()
        later(minutes=6)
    dispatch_notifications()
    make_route(make_channel(receiver.url(path="new")), position=0, goes_on=True)
    dispatch_notifications()
    dispatch_notifications()
    assert told(receiver) == ["/hook", "/hook", "/new"]


def test_a_tick_in_which_no_route_changed_looks_at_no_alert(receiver: Receiver) -> None:
    make_route(make_channel(receiver.url()))
    fire()
    rerouting.reroute_if_changed()
    with CaptureQueriesContext(connection) as asked:
        assert rerouting.reroute_if_changed() == 0
    assert not any("alerts_alert" in query["sql"] for query in asked)
    assert len(asked) <= 3


def test_an_alert_that_waits_for_its_first_message_is_not_queued_again(receiver: Receiver) -> None:
    make_route(make_channel(receiver.url()), group_wait_seconds=30)
    fire()
    dispatch_notifications()
    make_route(make_channel(receiver.url()), matchers=['severity="nothing like it"'])
    assert rerouting.reroute_if_changed() == 0
    assert not Notification.objects.exists()
    assert not Transition.objects.filter(routed_at=None, at__lt=timezone.now()).exists()


def test_an_alert_whose_service_is_found_later_goes_the_way_of_its_team(receiver: Receiver) -> None:
    make_route(make_channel(receiver.url()), matchers=['team="tills"'])
    make_transition(make_alert(labels={"alertname": "Disk", "job": "shop"}))
    dispatch_notifications()
    assert log() == [("withheld", "no_route")]
    make_service(slug="shop", team="tills")
    assert service_assignment.reassign_if_changed() == 1
    dispatch_notifications()
    dispatch_notifications()
    assert log()[1:] == [("sent", "first")]


@pytest.fixture
def strange(receiver: Receiver) -> None:
    """An alert that nobody was told of, because its service is not known to be its own yet."""
    make_route(make_channel(receiver.url()), matchers=['team="tills"'])
    make_transition(make_alert(labels={"alertname": "Disk", "job": "shop"}))
    make_service(slug="shop", team="tills")
    dispatch_notifications()
    assert log() == [("withheld", "no_route")]


@pytest.mark.usefixtures("strange")
def test_a_worker_that_ties_an_alert_and_dies_leaves_the_telling_to_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(rerouting, "request_reroute", Mock(side_effect=RedisConnectionError))
        assert service_assignment.reassign_if_changed() == 1
    assert service_assignment.reassign_if_changed() == 0
    dispatch_notifications()
    dispatch_notifications()
    assert log()[1:] == [("sent", "first")]


@pytest.mark.usefixtures("strange")
def test_what_is_tied_while_the_routes_are_held_against_it_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    requeue = rerouting._requeue

    def meanwhile(unnotified: list[int]) -> None:
        assert (unnotified, service_assignment.reassign_if_changed()) == ([], 1)
        requeue(unnotified)

    with monkeypatch.context() as patched:
        patched.setattr(rerouting, "_requeue", meanwhile)
        cache.delete(rerouting.FINGERPRINT_KEY)
        assert rerouting.reroute_if_changed() == 0
    dispatch_notifications()
    dispatch_notifications()
    assert log()[1:] == [("sent", "first")]


def test_a_service_that_is_given_to_a_team_has_its_alerts_told_there(receiver: Receiver) -> None:
    make_route(make_channel(receiver.url()), matchers=['team="tills"'])
    shop = make_service(slug="shop")
    fire(service=shop)
    dispatch_notifications()
    assert log() == [("withheld", "no_route")]
    shop.team = "tills"
    shop.save()
    dispatch_notifications()
    assert log()[1:] == [("sent", "first")]


@pytest.mark.django_db(transaction=True)
def test_one_worker_holds_what_fires_against_the_routes_and_the_others_have_other_work(
    another_connection: Any,
) -> None:
    make_route(make_channel())
    alert = make_alert()
    make_transition(alert, routed_at=timezone.now())
    another_connection.execute("SELECT pg_advisory_lock(%s)", [rerouting.LOCK])
    assert rerouting.reroute_if_changed() == 0
    another_connection.execute("SELECT pg_advisory_unlock(%s)", [rerouting.LOCK])
    assert rerouting.reroute_if_changed() == 1
    assert rerouting.reroute_if_changed() == 0
