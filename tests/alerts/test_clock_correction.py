"""A clock that was ahead and is set back: what waits goes out at once, and what waits rightly goes on waiting."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from alerts import clock_correction
from alerts.notification_models import Channel, Notification, NotificationGroup
from alerts.tasks import catch_up_with_the_clock, dispatch_notifications
from tests.factories import make_alert, make_channel, make_route, make_transition
from tests.locks import somebody_waits
from tests.receivers import Receiver, http_receiver
from tests.stack import until

pytestmark = pytest.mark.django_db
HOURS = timedelta(hours=5)
LONG: dict[str, Any] = {"group_interval_seconds": 300, "repeat_interval_seconds": 3600}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with http_receiver() as found:
        yield found


def ahead(monkeypatch: pytest.MonkeyPatch) -> AbstractContextManager[None]:
    """Let the clock be hours ahead for a while."""

    @contextmanager
    def wrong() -> Iterator[None]:
        right = timezone.now
        with monkeypatch.context() as patched:
            patched.setattr(timezone, "now", lambda: right() + HOURS)
            yield

    return wrong()


def fire() -> None:
    make_transition(make_alert())


def test_a_group_that_waits_for_its_first_message(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_route(make_channel(receiver.url()), group_wait_seconds=30)
    with ahead(monkeypatch):
        fire()
        dispatch_notifications()
    dispatch_notifications()
    assert receiver.requests == []
    catch_up_with_the_clock()
    dispatch_notifications()
    assert len(receiver.requests) == 1


def test_a_group_of_which_was_spoken_hears_of_a_new_alert_and_is_reminded_in_time(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_route(make_channel(receiver.url()), **LONG)
    with ahead(monkeypatch):
        fire()
        dispatch_notifications()
    catch_up_with_the_clock()
    group = NotificationGroup.objects.get()
    (words,) = group.told.values()
    assert datetime.fromisoformat(words[0]) <= timezone.now()
    fire()
    dispatch_notifications()
    assert len(receiver.requests) == 2
    group.refresh_from_db()
    assert group.next_flush_at is not None
    assert group.next_flush_at <= timezone.now() + timedelta(seconds=3600)


def test_a_message_that_failed_is_tried_again(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_route(make_channel(receiver.url()), **LONG)
    receiver.status = 503
    with ahead(monkeypatch):
        fire()
        dispatch_notifications()
    receiver.status = 200
    dispatch_notifications()
    assert len(receiver.requests) == 1
    catch_up_with_the_clock()
    dispatch_notifications()
    assert Notification.objects.get().outcome == "sent"
    assert Channel.objects.get().failing_since is None


def test_what_waits_rightly_goes_on_waiting(receiver: Receiver) -> None:
    receiver.status = 503
    make_route(make_channel(receiver.url()), group_wait_seconds=0, **LONG)
    fire()
    dispatch_notifications()
    make_route(make_channel(receiver.url()), group_wait_seconds=3600, **LONG)
    fire()
    dispatch_notifications()
    before = [
        list(model.objects.order_by("id").values())
        for model in (Notification, NotificationGroup, Channel)
    ]
    assert clock_correction.make_due(at=timezone.now() - timedelta(seconds=50)) == 0
    after = [
        list(model.objects.order_by("id").values())
        for model in (Notification, NotificationGroup, Channel)
    ]
    assert before == after


@pytest.mark.django_db(transaction=True)
def test_groups_are_locked_in_the_order_of_those_who_look_at_them(another_connection: Any) -> None:
    late, route = timezone.now() + HOURS, make_route(make_channel("json://127.0.0.1:9"))
    second, first = (
        NotificationGroup.objects.create(route=route, key=key, next_flush_at=late, flushed_at=late)
        for key in ("b", "a")
    )
    lock = "SELECT FROM alerts_notificationgroup WHERE id = %s FOR UPDATE"
    another_connection.execute("SET lock_timeout = '10s'")
    another_connection.execute("BEGIN")
    another_connection.execute(lock, [first.pk])
    with ThreadPoolExecutor(1) as pool:
        caught_up = pool.submit(catch_up)
        until(somebody_waits, "nobody waits")
        another_connection.execute(lock, [second.pk])
        another_connection.execute("COMMIT")
        assert caught_up.result(30) == 2


def catch_up() -> int:
    try:
        return clock_correction.make_due(at=timezone.now())
    finally:
        connection.close()
