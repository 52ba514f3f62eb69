"""From a transition to the provider: once, in words, and whatever the other side does."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.db import connection
from django.utils import timezone

from alerts import channels, delivery, dispatch, group_flush, leases, router, sender, wording
from alerts.models import Alert, Transition
from alerts.notification_models import Channel, Notification, NotificationGroup
from alerts.tasks import dispatch_notifications
from tests.factories import make_alert, make_channel, make_route, make_service, make_transition
from tests.receivers import Mailbox, Receiver, http_receiver, mail_server
from tests.stack import until

pytestmark = pytest.mark.django_db


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with http_receiver() as found:
        yield found


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with mail_server() as found:
        yield found


def fire(**over: Any) -> Alert:
    """Return an alert that has just begun, as a poll leaves it."""
    alert = make_alert(**over)
    make_transition(alert)
    return alert


def end(alert: Alert) -> None:
    Alert.objects.filter(pk=alert.pk).update(state="resolved", ends_at=timezone.now())
    make_transition(alert, "resolved")


def later(**ago: float) -> None:
    """Let time pass for the groups: their next flush is due, and their last message is older."""
    for group in NotificationGroup.objects.all():
        group.next_flush_at = timezone.now() if group.next_flush_at else None
        group.flushed_at = group.flushed_at and group.flushed_at - timedelta(**ago)
        told = group.told
        for words in told.values():
            words[0] = (timezone.now() - timedelta(**ago)).isoformat()
        group.save()


def log() -> list[tuple[str, str]]:
    return list(Notification.objects.order_by("id").values_list("outcome", "reason"))


def test_an_alert_is_announced_once_and_its_end_too(receiver: Receiver) -> None:
    make_route(make_channel(receiver.url()))
    alert = fire(severity="critical", service=make_service(slug="checkout"))
    dispatch_notifications()
    dispatch_notifications()
    end(alert)
    later(minutes=6)
    dispatch_notifications()
    titles = [request.json()["title"] for request in receiver.requests]
    assert titles == [
        "[FIRING] HighCPU on checkout (critical)",
        "[RESOLVED] HighCPU on checkout (critical)",
    ]
    assert log() == [("sent", "first"), ("sent", "all_resolved")]
    assert not Transition.objects.filter(routed_at=None).exists()
    assert Channel.objects.filter(sent_at__isnull=False).exists()


def test_delivering_leaves_the_connection_as_durable_as_it_was(receiver: Receiver) -> None:
    make_route(make_channel(receiver.url()))
    fire()
    dispatch_notifications()
    with connection.cursor() as cursor:
        cursor.execute("SELECT source FROM pg_settings WHERE name = 'synchronous_commit'")
        assert cursor.fetchone()[0] != "session"
    assert log() == [("sent", "first")]


def test_a_message_has_summary_since_labels_and_links(receiver: Receiver) -> None:
    make_route(make_channel(receiver.url()))
    alert = fire(annotations={"summary": "Too hot", "runbook_url": "https://runbooks.example/cpu"})
    dispatch_notifications()
    text = receiver.requests[0].json()["message"]
    for part in (
        "Too hot",
        f"HighCPU, since {alert.starts_at:%Y-%m-%d %H:%M:%S} UTC",
        f"instance={alert.labels['instance']}",
        "Runbook: https://runbooks.example/cpu",
        f"/admin/alerts/alert/{alert.pk}/change/",
    ):
        assert part in text


def test_alerts_of_a_group_share_a_message(receiver: Receiver) -> None:
    make_route(make_channel(receiver.url()), group_by=["alertname"])
    for _ in range(12):
        fire()
    fire(alertname="DiskFull", labels={"alertname": "DiskFull"})
    dispatch_notifications()
    titles = sorted(request.json()["title"] for request in receiver.requests)
    assert titles == ["[FIRING:12] HighCPU (warning)", "[FIRING] DiskFull (warning)"]
    assert "… and 2 more firing." in str([r.json()["message"] for r in receiver.requests])


def test_a_group_waits_before_its_first_message_and_between_two(receiver: Receiver) -> None:
    make_route(make_channel(receiver.url()), group_wait_seconds=30, group_interval_seconds=300)
    began = timezone.now()
    fire()
    dispatch_notifications()
    wait = NotificationGroup.objects.get().next_flush_at
    assert wait is not None
    assert 29 < (wait - began).total_seconds() < 60
    assert receiver.requests == []
    later()
    dispatch_notifications()
    said = timezone.now()
    fire()
    dispatch_notifications()
    following = NotificationGroup.objects.get().next_flush_at
    assert following is not None
    assert 290 < (following - said).total_seconds() <= 300
    assert len(receiver.requests) == 1


def test_a_route_without_channels_and_a_channel_that_is_off_are_noted(receiver: Receiver) -> None:
    make_route(make_channel(receiver.url(), enabled=False), matchers=['severity="critical"'])
    make_route(matchers=['severity="warning"'])
    fire(severity="critical")
    fire(severity="warning")
    dispatch_notifications()
    assert sorted(log()) == [("withheld", "channel_off"), ("withheld", "no_channel")]
    assert receiver.requests == []


def test_demonstration_data_is_told_to_nobody(receiver: Receiver) -> None:
    make_route(make_channel(receiver.url()))
    make_transition(make_alert(), source="demo")
    dispatch_notifications()
    assert (receiver.requests, log()) == ([], [])
    assert not Transition.objects.filter(routed_at=None).exists()


def test_what_no_route_wants_is_noted(receiver: Receiver) -> None:
    make_route(make_channel(receiver.url()), matchers=['severity="critical"'])
    alert = fire()
    dispatch_notifications()
    assert log() == [("withheld", "no_route")]
    assert Notification.objects.about(alert.pk).count() == 1
    assert receiver.requests == []


def test_a_silenced_alert_is_withheld_until_it_is_not(receiver: Receiver) -> None:
    make_route(make_channel(receiver.url()))
    alert = fire(state="suppressed", silenced_by=["x"])
    dispatch_notifications()
    assert log() == [("withheld", "suppressed")]
    Alert.objects.filter(pk=alert.pk).update(state="firing")
    make_transition(alert, "unsuppressed")
    later(minutes=6)
    dispatch_notifications()
    assert log()[1:] == [("sent", "first")]


def test_a_reminder_comes_unless_somebody_has_acknowledged(receiver: Receiver) -> None:
    make_route(make_channel(receiver.url()), repeat_interval_seconds=3600)
    alert = fire()
    dispatch_notifications()
    later(hours=2)
    dispatch_notifications()
    assert log()[1:] == [("sent", "repeat")]
    assert receiver.requests[1].json()["title"].startswith("[STILL FIRING]")
    Alert.objects.filter(pk=alert.pk).update(acknowledged_at=timezone.now(), acknowledged_by="a")
    later(hours=2)
    dispatch_notifications()
    assert len(receiver.requests) == 2


def test_an_end_is_heard_by_those_who_heard_the_beginning(receiver: Receiver) -> None:
    """Although the route has been narrowed meanwhile and would not take the alert any more."""
    route = make_route(make_channel(receiver.url()))
    alert = fire()
    dispatch_notifications()
    route.matchers = ['severity="critical"']
    route.save()
    end(alert)
    dispatch_notifications()
    assert log() == [("sent", "first"), ("sent", "all_resolved")]


def test_quiet_hours_hold_back_and_catch_up(receiver: Receiver) -> None:
    now, hour = timezone.now(), timedelta(hours=1)
    quiet = {"quiet_from": (now - hour).time(), "quiet_until": (now + hour).time()}
    route = make_route(make_channel(receiver.url()), quiet_unless=['severity="critical"'], **quiet)
    fire()
    dispatch_notifications()
    assert log() == [("withheld", "quiet_hours")]
    fire(severity="critical")
    dispatch_notifications()
    assert log()[1:] == [("sent", "first")]
    route.quiet_from = route.quiet_until = None
    route.save()
    later(minutes=6)
    dispatch_notifications()
    assert log()[2:] == [("sent", "new_firing")]


def test_a_storm_becomes_one_digest(receiver: Receiver) -> None:
    channel = make_channel(receiver.url(), budget_messages=3, budget_seconds=600)
    make_route(channel, group_by=["..."])
    for _ in range(10):
        fire()
    dispatch_notifications()
    dispatch_notifications()
    assert len(receiver.requests) == 3
    digest = Notification.objects.get(kind="digest")
    assert digest.held.count() == 7
    Notification.objects.filter(outcome="sent").update(finished_at=timezone.now() - timedelta(minutes=11))  # fmt: skip
    Notification.objects.filter(pk=digest.pk).update(next_attempt_at=timezone.now())
    dispatch_notifications()
    title, text = (receiver.requests[3].json()[key] for key in ("title", "message"))
    assert title == "[DIGEST] 7 messages held back: 7 firing, 0 resolved"
    assert "3 messages in 10 minutes" in text
    assert f"/admin/alerts/notification/?digest__id__exact={digest.pk}" in text
    assert [row for row in log() if row[0] == "withheld"] == [("withheld", "storm")] * 7


def test_a_429_is_obeyed_for_the_whole_channel(receiver: Receiver) -> None:
    channel = make_channel(receiver.url())
    make_route(channel, group_by=["..."])
    receiver.status, receiver.headers = 429, {"Retry-After": "120"}
    fire()
    fire()
    dispatch_notifications()
    channel.refresh_from_db()
    assert channel.not_before is not None
    assert timedelta(seconds=110) < channel.not_before - timezone.now() <= timedelta(seconds=120)
    assert "asks to wait 120 s" in channel.error
    dispatch_notifications()
    assert len(receiver.requests) == 1
    receiver.status = 200
    Channel.objects.update(not_before=None)
    Notification.objects.update(next_attempt_at=timezone.now())
    dispatch_notifications()
    assert [row[0] for row in log()] == ["sent", "sent"]
    channel.refresh_from_db()
    assert (channel.error, channel.failures) == ("", 0)


@pytest.mark.parametrize("status, outcome", [(503, "pending"), (404, "failed"), (302, "failed")])
def test_what_may_pass_is_tried_again_and_what_may_not_is_given_up(
    receiver: Receiver, status: int, outcome: str
) -> None:
    channel = make_channel(receiver.url())
    make_route(channel)
    receiver.status, receiver.headers = status, {"Location": "http://127.0.0.1:9/"}
    fire()
    dispatch_notifications()
    assert [row[0] for row in log()] == [outcome]
    raised = Alert.objects.filter(alertname="PortalNotificationFailing", labels__channel=channel.name)  # fmt: skip
    assert raised.exists() is (outcome == "failed")
    assert len(receiver.requests) == 1


def test_giving_up_raises_an_alert_which_the_next_success_clears(receiver: Receiver) -> None:
    make_route(make_channel(receiver.url()))
    receiver.status = 500
    fire()
    for _ in range(8):
        dispatch_notifications()
        Channel.objects.update(not_before=None)
        Notification.objects.filter(outcome="pending").update(next_attempt_at=timezone.now())
    given_up = Notification.objects.get(outcome="failed")
    assert given_up.attempts == 8
    raised = Alert.objects.get(alertname="PortalNotificationFailing")
    assert (raised.state, raised.severity) == ("firing", "critical")
    receiver.status = 200
    assert channels.send_again([given_up], actor=None) == 1
    dispatch_notifications()
    raised.refresh_from_db()
    assert raised.state == "resolved"


def test_what_waited_for_hours_behind_a_failure_is_given_up_with_it(receiver: Receiver) -> None:
    make_route(make_channel(receiver.url()), group_by=["..."])
    receiver.status = 503
    fire()
    fire()
    router.route_waiting()
    dispatch.flush_due()
    waiting = Notification.objects.order_by("id")
    waiting.filter(pk=waiting[0].pk).update(attempts=7)
    waiting.filter(pk=waiting[1].pk).update(queued_at=timezone.now() - timedelta(hours=7))
    dispatch_notifications()
    assert [row[0] for row in log()] == ["failed", "failed"]
    assert len(receiver.requests) == 1


def test_a_test_message_uses_up_no_budget(receiver: Receiver) -> None:
    channel = make_channel(receiver.url(), budget_messages=1)
    make_route(channel)
    assert channels.test(channel, actor=None).outcome == "sent"
    fire()
    dispatch_notifications()
    assert len(receiver.requests) == 2


@pytest.mark.parametrize("change", ["url", "off", "rename", "delete"])
def test_the_alert_of_a_failing_channel_ends_when_the_channel_is_changed(
    receiver: Receiver, change: str
) -> None:
    channel = make_channel(receiver.url())
    make_route(channel)
    receiver.status = 404
    fire()
    dispatch_notifications()
    raised = Alert.objects.get(alertname="PortalNotificationFailing", state="firing")
    channel = Channel.objects.get()
    if change == "delete":
        channels.delete(channel, actor=None)
    else:
        channel.enabled, channel.name = (
            change != "off",
            "new" if change == "rename" else channel.name,
        )
        channels.save(channel, url=receiver.url() if change == "url" else "", actor=None)
    raised.refresh_from_db()
    assert raised.state == "resolved"


def test_what_was_decided_goes_out_although_deciding_fails(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_route(make_channel(receiver.url()))
    fire()
    router.route_waiting()
    dispatch.flush_due()
    monkeypatch.setattr(router, "route_batch", lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        dispatch_notifications()
    assert len(receiver.requests) == 1


def test_a_group_that_cannot_be_flushed_does_not_stop_the_others(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_route(make_channel(receiver.url()), group_by=["alertname"])
    for name in ("Bad", "Good"):
        fire(alertname=name, labels={"alertname": name})
    real = wording.compose

    def compose(firing: list[Alert], *args: Any, **kwargs: Any) -> tuple[str, str]:
        assert firing[0].alertname != "Bad"
        return real(firing, *args, **kwargs)

    monkeypatch.setattr(group_flush, "compose", compose)
    dispatch_notifications()
    assert len(receiver.requests) == 1
    assert NotificationGroup.objects.filter(next_flush_at__gt=timezone.now()).count() == 2
    monkeypatch.undo()
    later()
    dispatch_notifications()
    assert len(receiver.requests) == 2


def test_a_flush_that_runs_out_of_time_ends_and_does_not_postpone_its_groups(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_route(make_channel(receiver.url()))
    fire()
    router.route_waiting()

    def compose(*_args: Any, **_options: Any) -> tuple[str, str]:
        raise SoftTimeLimitExceeded

    monkeypatch.setattr(group_flush, "compose", compose)
    with pytest.raises(SoftTimeLimitExceeded):
        dispatch.flush_due()
    assert NotificationGroup.objects.get().next_flush_at <= timezone.now()  # type: ignore[operator]


def test_a_save_leaves_the_columns_of_the_worker_alone(receiver: Receiver) -> None:
    channel = make_channel(receiver.url())
    make_route(channel)
    fire()
    seen_in_a_form = Channel.objects.get()
    dispatch_notifications()
    sent_at = Channel.objects.get().sent_at
    assert sent_at is not None
    until = timezone.now() + timedelta(seconds=60)
    Channel.objects.update(lease_until=until, failures=3, error="away")
    seen_in_a_form.budget_messages = 7
    channels.save(seen_in_a_form, actor=None)
    row = Channel.objects.get()
    assert (row.lease_until, row.failures, row.error, row.sent_at) == (until, 3, "away", sent_at)
    assert row.budget_messages == 7


def test_a_channel_that_hangs_is_cut_off_and_rests(receiver: Receiver) -> None:
    make_route(make_channel(receiver.url(), timeout_seconds=1))
    receiver.hang.set()
    fire()
    began = time.monotonic()
    dispatch_notifications()
    assert time.monotonic() - began < 5
    channel = Channel.objects.get()
    assert "did not answer in time" in channel.error
    assert channel.not_before is not None
    assert channel.lease_until is None


def test_a_slow_drip_is_cut_off_too(receiver: Receiver) -> None:
    make_route(make_channel(receiver.url(), timeout_seconds=1))
    receiver.drip_seconds, receiver.body = 0.3, b"x" * 100
    fire()
    began = time.monotonic()
    dispatch_notifications()
    assert time.monotonic() - began < 5
    assert log() == [("pending", "first")]


def test_mail_is_delivered_by_smtp(mailbox: Mailbox) -> None:
    make_route(make_channel(mailbox.url))
    fire(annotations={"summary": "Too <hot> & bright"})
    dispatch_notifications()
    assert log() == [("sent", "first")]
    message = mailbox.messages[0]
    assert str(message["Subject"]).startswith("[FIRING] HighCPU")
    assert mailbox.recipients == ["on-call@example.org"]
    plain = message.get_body(("plain",))
    assert plain is not None
    assert "Too <hot> & bright" in plain.get_content()


@pytest.mark.parametrize(
    "refusal, outcome", [("550 No such user", "failed"), ("451 Try later", "pending")]
)
def test_a_mail_server_that_refuses_is_quoted(mailbox: Mailbox, refusal: str, outcome: str) -> None:
    mailbox.refuse = refusal
    make_route(make_channel(mailbox.url))
    fire()
    dispatch_notifications()
    row = Notification.objects.order_by("id")[0]
    assert row.outcome == outcome
    assert refusal[:3] in row.answer


def test_a_metadata_address_is_refused_when_saved_and_when_sent(receiver: Receiver) -> None:
    with pytest.raises(Exception, match="metadata service"):
        make_channel("json://169.254.169.254/latest")
    channel = make_channel(receiver.url())
    channel.url = "json://[::ffff:169.254.169.254]/latest"
    channel.save()
    assert "never connects" in channels.test(channel, actor=None).answer


@pytest.mark.django_db(transaction=True)
def test_a_channel_that_hangs_does_not_delay_the_others(receiver: Receiver) -> None:
    with http_receiver() as stuck:
        stuck.hang.set()
        hanging = make_channel(stuck.url(), timeout_seconds=30)
        make_route(hanging, make_channel(receiver.url()))
        fire()
        router.route_waiting()
        dispatch.flush_due()

        def hang() -> None:
            delivery.deliver(hanging.pk)
            connection.close()

        thread = threading.Thread(target=hang)
        thread.start()
        until(lambda: stuck.requests, "the hanging channel was never connects")
        due = leases.due_channels(at=timezone.now())
        assert hanging.pk not in due  # one worker has it; no second one is caught
        assert [delivery.deliver(channel) for channel in due] == [1]
        assert thread.is_alive()
        stuck.released.set()
        thread.join(60)


@pytest.mark.django_db(transaction=True)
def test_two_workers_send_each_message_once(receiver: Receiver) -> None:
    first, second = make_channel(receiver.url(path="a")), make_channel(receiver.url(path="b"))
    make_route(first, second, group_by=["..."])
    for _ in range(20):
        fire()
    start = threading.Barrier(4)

    def work() -> None:
        start.wait()
        for _ in range(4):
            router.route_waiting()
            dispatch.flush_due()
            for channel in leases.due_channels(at=timezone.now()):
                delivery.deliver(channel)
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    dispatch_notifications()
    assert sorted(request.path for request in receiver.requests) == ["/a"] * 20 + ["/b"] * 20
    assert len({request.body for request in receiver.requests}) == 20
    assert log() == [("sent", "first")] * 40


def test_a_worker_that_dies_after_sending_repeats_and_loses_nothing(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_route(make_channel(receiver.url()))
    fire()

    def die(*_args: object) -> None:
        raise SystemExit  # what a kill between the answer and the commit leaves behind

    monkeypatch.setattr(delivery, "_delivered", die)
    with pytest.raises(SystemExit):
        dispatch_notifications()
    assert log() == [("pending", "first")]
    monkeypatch.undo()
    Channel.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    dispatch_notifications()
    dispatch_notifications()
    assert len(receiver.requests) == 2
    assert log() == [("sent", "first")]


def test_what_a_killed_worker_held_is_free_again_soon(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing gives the channel back after `kill -9`, so its lease is all that lets others go on."""
    channel = make_channel(receiver.url(), timeout_seconds=10)
    make_route(channel)
    fire()
    router.route_waiting()
    dispatch.flush_due()
    held: list[datetime] = []

    def look(taken: Channel, _ends_at: float) -> int:
        held.append(due_again(taken.pk))
        return 0

    monkeypatch.setattr(delivery, "_deliver", look)
    delivery.deliver(channel.pk)
    least, most = timedelta(seconds=delivery.RUN_SECONDS + 10), timedelta(seconds=45)
    assert least < held[0] - timezone.now() < most


def due_again(channel_id: int) -> datetime:
    until = Channel.objects.get(pk=channel_id).lease_until
    assert until is not None
    return until


def waiting(receiver: Receiver, **over: Any) -> tuple[Channel, Notification]:
    """Return a channel with one message that waits."""
    channel = make_channel(receiver.url(), **over)
    make_route(channel, group_by=["..."])
    fire()
    router.route_waiting()
    dispatch.flush_due()
    return channel, Notification.objects.get()


def once_sent(monkeypatch: pytest.MonkeyPatch, change: Callable[[], object]) -> None:
    """Let something happen between the first answer of a service and its being noted."""
    real, left = sender.send, [change]

    def send(*args: Any, **options: Any) -> Any:
        attempt = real(*args, **options)
        if left:
            left.pop()()
        return attempt

    monkeypatch.setattr(sender, "send", send)


def test_a_message_that_ends_its_worker_each_time_is_given_up(receiver: Receiver) -> None:
    _channel, row = waiting(receiver)
    Notification.objects.update(attempts=8)  # the last of them without an answer
    dispatch_notifications()
    assert receiver.requests == []
    row.refresh_from_db()
    assert row.outcome == "failed"
    assert "Given up after 8 attempts, because its worker ended each time" in row.answer
    assert Alert.objects.filter(alertname="PortalNotificationFailing", state="firing").exists()


@pytest.mark.parametrize("status", [200, 404])
@pytest.mark.parametrize("change", ["off", "url"])
def test_a_change_of_the_channel_stops_the_worker_that_is_sending(
    receiver: Receiver, change: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left goes to the new address, or nowhere; and what the old one did says nothing of the new."""
    with http_receiver() as new:
        channel, _row = waiting(receiver)
        fire()
        router.route_waiting()
        dispatch.flush_due()

        def save() -> None:
            seen = Channel.objects.get()
            seen.enabled = change != "off"
            channels.save(seen, url=new.url() if change == "url" else "", actor=None)

        receiver.status = status
        once_sent(monkeypatch, save)
        delivery.deliver(channel.pk)
        assert len(receiver.requests) == 1
        channel.refresh_from_db()
        assert (channel.failures, channel.error) == (0, "")
        dispatch_notifications()
        left = 1 if status == 200 else 2
        assert len(new.requests) == (left if change == "url" else 0)
        assert len(receiver.requests) == 1
        assert not Alert.objects.filter(alertname="PortalNotificationFailing").exists()


def test_what_a_worker_saw_under_a_lost_lease_is_not_kept(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel, row = waiting(receiver)
    later_lease = timezone.now() + timedelta(minutes=2)
    once_sent(monkeypatch, lambda: Channel.objects.update(lease_until=later_lease))
    receiver.status = 503
    delivery.deliver(channel.pk)
    channel.refresh_from_db()
    row.refresh_from_db()
    assert (channel.lease_until, channel.failures, channel.not_before) == (later_lease, 0, None)
    assert (row.outcome, row.attempts) == ("pending", 0)


def test_a_worker_whose_clock_is_an_hour_ahead_takes_no_channel_that_is_held(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel, _row = waiting(receiver)
    assert leases.take(channel.pk, 15) is not None
    ahead = timezone.now() + timedelta(hours=1)
    monkeypatch.setattr(timezone, "now", lambda: ahead)
    assert leases.due_channels(at=ahead) == []
    assert leases.take(channel.pk, 15) is None


def test_a_budget_is_not_held_up_by_what_a_clock_that_was_ahead_has_dated(
    receiver: Receiver,
) -> None:
    channel, _row = waiting(receiver, budget_messages=2)
    ahead = timezone.now() + timedelta(hours=1)
    for number in range(2):
        Notification.objects.create(batch=f"ahead:{number}", channel=channel, outcome="sent", reason="first",
                                    finished_at=ahead)  # fmt: skip
    dispatch_notifications()
    assert len(receiver.requests) == 1


def test_an_old_message_that_is_sent_again_by_hand_is_tried_as_a_new_one(
    receiver: Receiver,
) -> None:
    _channel, row = waiting(receiver)
    long_ago = timezone.now() - timedelta(hours=7)
    Notification.objects.update(outcome="failed", queued_at=long_ago, created_at=long_ago)
    assert channels.send_again([row], actor=None) == 1
    receiver.status = 503
    dispatch_notifications()
    row.refresh_from_db()
    assert (row.outcome, row.created_at) == ("pending", long_ago)
