"""Channels: what is stored and shown of a secret URL, the test button, the environment, the API."""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from alerts import channels, notify_env, retention, sender
from alerts.explain import explain
from alerts.notification_models import Channel, Notification, NotificationGroup, Route
from alerts.tasks import dispatch_notifications
from portal import env
from tests.alerts.test_delivery import fire
from tests.conftest import Trail
from tests.factories import make_alert, make_channel, make_route, make_user, sign_in
from tests.receivers import Receiver, http_receiver

pytestmark = pytest.mark.django_db
SECRET = "TIiajkdnlazkcOXrIdevi7FQ"
SLACK = f"slack://T1JJ3T3L2/A1BRTD4JD/{SECRET}/#alerts"
DISCORD = "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with http_receiver() as found:
        yield found


@pytest.fixture
def client() -> Client:
    client = Client()
    sign_in(client)
    return client


def test_the_url_is_encrypted_and_shown_nowhere(client: Client, trail: Trail) -> None:
    channel = make_channel(SLACK)
    with connection.cursor() as cursor:
        cursor.execute("SELECT c::text FROM alerts_channel c")
        assert SECRET not in str(cursor.fetchall())
    assert Channel.objects.get().url == SLACK
    assert channel.shown_url.startswith("slack://T...2/")
    for url in (
        reverse("admin:alerts_channel_changelist"),
        channel.get_absolute_url(),
        "/api/v1/channels/",
        f"/api/v1/channels/{channel.pk}/",
        "/api/v1/channels/?format=csv",
    ):
        reply = client.get(url)
        body = b"".join(reply.streaming_content) if reply.streaming else reply.content  # type: ignore[attr-defined]
        assert reply.status_code == 200
        assert SECRET not in body.decode()
    channel.enabled = False
    channels.save(channel, actor=None)
    assert SECRET not in str([vars(entry) for entry in trail()])


class _Heard(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def test_what_apprise_logs_stays_inside(receiver: Receiver) -> None:
    """Its lines hold the URL; pytest's own handler is no judge, it hangs on silenced loggers too."""
    channel = make_channel(receiver.url(path="very-secret-path"))
    receiver.status, receiver.body = 400, b"bad very-secret-path"
    root, heard = logging.getLogger(), _Heard()
    root.addHandler(heard)
    try:
        answer = channels.test(channel, actor=None).answer
    finally:
        root.removeHandler(heard)
    assert "rejected the message (HTTP 400)" in answer
    assert "very-secret-path" not in answer + str(heard.lines)


def test_a_delivery_leaves_no_address_in_traces(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside: list[int] = []

    @contextmanager
    def suppress_http_instrumentation() -> Iterator[None]:
        before = len(receiver.requests)
        yield
        inside.append(len(receiver.requests) - before)

    stand_in = SimpleNamespace(suppress_http_instrumentation=suppress_http_instrumentation)
    monkeypatch.setitem(sys.modules, "opentelemetry.instrumentation.utils", stand_in)
    channels.test(make_channel(receiver.url()), actor=None)
    assert inside == [1]


@pytest.mark.parametrize(
    "url, sentence",
    [
        ("nonsense", "not an Apprise URL"),
        ("slaack://a/b/c", "Apprise does not support the service 'slaack'"),
        ("slack://x", "a part is missing or malformed"),
        ("discord://", "a part is missing or malformed"),
        ("syslog://", "writes to the desktop or log"),
        ("json://169.254.169.254/latest/meta-data", "metadata service"),
        ("mailto://u:p@169.254.169.254/?to=a@example.org", "metadata service"),
        ("", "Enter an Apprise URL"),
        (f"{DISCORD}?template=/etc/hostname", "Remove the parameter template from the URL"),
        (f"{SLACK}?template=file:///etc/hostname", "Remove the parameter template from the URL"),
    ],
)
def test_a_wrong_url_is_explained_without_being_repeated(url: str, sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence.replace("(", ".")):
        channels.save(Channel(name="wrong"), url=url, actor=None)
    assert not Channel.objects.exists()


def test_a_template_that_got_into_a_row_sends_no_file(tmp_path: Path) -> None:
    (tmp_path / "file.json").write_text('{"content": "what the file holds"}')
    attempt = sender.send(
        f"{DISCORD}?template={tmp_path}/file.json", title="", body="", firing=True
    )
    assert (attempt.delivered, attempt.refused) == (False, True)


@pytest.mark.django_db(transaction=True)
def test_the_test_button_says_what_the_service_said(
    client: Client, receiver: Receiver, trail: Trail
) -> None:
    channel = make_channel(receiver.url())
    receiver.status, receiver.body = 403, b'{"message": "invalid_token"}'
    url = reverse("admin:alerts_channel_test", args=[channel.pk])
    assert client.get(url).status_code == 405
    page = client.post(url, follow=True).content.decode()
    assert "rejected the address or key in the URL (HTTP 403)" in page
    assert "invalid_token" in page
    receiver.status = 200
    reply = client.post(f"/api/v1/channels/{channel.pk}/test/").json()
    assert (reply["outcome"], reply["kind"]) == ("sent", "test")
    assert receiver.requests[1].json()["title"].startswith("[TEST] Channel")
    assert {"channel.test_failed", "channel.tested"} <= {entry.action for entry in trail()}


def test_channels_and_routes_by_api(client: Client, trail: Trail) -> None:
    def send(method: str, path: str, body: Any = None) -> Any:
        call = getattr(client, method)
        return call(f"/api/v1/{path}", json.dumps(body), content_type="application/json")

    made = send("post", "channels/", {"name": "team", "url": SLACK})
    assert made.status_code == 201, made.content
    assert "url" not in made.json()
    number = made.json()["id"]
    assert (
        send("patch", f"channels/{number}/", {"budget_messages": 5}).json()["budget_messages"] == 5
    )
    assert Channel.objects.get().url == SLACK
    assert send("post", "channels/", {"name": "x", "url": "slack://x"}).status_code == 400
    route = send("post", "routes/", {"name": "all", "channels": ["team"], "matchers": ['a=~"b|c"']})
    assert route.status_code == 201, route.content
    assert send("post", "routes/", {"name": "y", "matchers": ['a=~"("']}).status_code == 400
    assert send("post", "routes/", {"name": "z", "quiet_from": "22:00"}).status_code == 400
    assert send("delete", f"channels/{number}/").status_code == 204
    assert Route.objects.get().channels.count() == 0
    actions = [entry.action for entry in trail()]
    assert {"object.created", "object.updated", "object.deleted", "channel.url_changed"} <= set(
        actions
    )


@pytest.mark.parametrize("written", ["22:00:00Z", "22:00+01:00", "22:00-05:00"])
def test_a_quiet_hour_with_an_offset_is_refused_and_not_read_as_one_without(written: str) -> None:
    client = Client()
    sign_in(client, make_user())
    body = {"name": "n", "quiet_until": "06:00", "quiet_zone": "Europe/Berlin"}
    url = "/api/v1/routes/"
    answer = client.post(url, {**body, "quiet_from": written}, content_type="application/json")
    assert (answer.status_code, "quiet_zone" in answer.json()["detail"]) == (400, True)
    answer = client.post(url, {**body, "quiet_from": "22:00"}, content_type="application/json")
    assert (answer.status_code, answer.json()["quiet_from"]) == (201, "22:00:00")


def test_a_responder_cannot_change_channels() -> None:
    client = Client()
    sign_in(client, make_user(is_superuser=False))
    channel = make_channel()
    assert client.post(f"/api/v1/channels/{channel.pk}/test/").status_code == 403
    assert client.get(reverse("admin:alerts_channel_changelist")).status_code == 403


def test_explain_says_which_route_matched_and_what_came_of_it(
    client: Client, receiver: Receiver
) -> None:
    channel = make_channel(receiver.url(), name="team")
    make_route(channel, name="critical-only", matchers=['severity="critical"'])
    make_route(channel, name="rest")
    make_route(channel, name="never")
    alert = fire()
    dispatch_notifications()
    found = client.get(f"/api/v1/alerts/{alert.pk}/explain/").json()
    assert [(line["route"], line["fit"]) for line in found["routes"]] == [
        ("critical-only", "mismatch"),
        ("rest", "matched"),
        ("never", "not_reached"),
    ]
    assert 'severity="critical" is not satisfied' in found["routes"][0]["sentence"]
    assert "it is repeated at" in found["groups"][0]["sentence"]
    assert [(n["outcome"], n["reason"]) for n in found["notifications"]] == [("sent", "first")]
    page = client.get(alert.get_absolute_url()).content.decode()
    assert "Who was notified, and why" in page
    assert "The first message about this group." in page


def test_an_explanation_costs_the_same_for_any_number_of_routes(
    django_assert_max_num_queries: Any,
) -> None:
    alert = make_alert()
    for _ in range(30):
        make_route(make_channel(), goes_on=True)
    with django_assert_max_num_queries(8):
        explain(alert, at=timezone.now())


def test_what_failed_is_sent_again(client: Client, receiver: Receiver) -> None:
    make_route(make_channel(receiver.url()))
    receiver.status = 400
    fire()
    dispatch_notifications()
    row = Notification.objects.get(outcome="failed")
    receiver.status = 200
    assert client.post(f"/api/v1/notifications/{row.pk}/send-again/").json()["outcome"] == "pending"
    dispatch_notifications()
    assert client.post(f"/api/v1/notifications/{row.pk}/send-again/").status_code == 409
    assert client.get("/api/v1/notifications/?outcome=sent").json()["results"][0]["id"] == row.pk


def test_a_channel_that_is_switched_off_withholds_what_waits(receiver: Receiver) -> None:
    channel = make_channel(receiver.url())
    make_route(channel)
    receiver.status = 503
    fire()
    dispatch_notifications()
    channel.refresh_from_db()
    channel.enabled = False
    channels.save(channel, actor=None)
    assert Notification.objects.get().reason == "channel_off"
    channels.delete(channel, actor=None)
    assert Notification.objects.get().channel_name == channel.name


def test_the_environment_makes_managed_channels_and_a_last_route() -> None:
    urls = [SLACK, DISCORD]
    assert notify_env.synchronise(urls) == ["notify-1", "notify-2"]
    assert notify_env.synchronise(urls) == []
    route = Route.objects.get(managed=True)
    assert (route.position, route.channels.count(), route.matchers) == (1000, 2, [])
    assert notify_env.synchronise(urls[:1]) == ["notify-2"]
    assert route.channels.count() == 1
    notify_env.synchronise([])
    route.refresh_from_db()
    assert not route.enabled
    assert not Channel.objects.filter(enabled=True).exists()


def test_a_wrong_url_in_the_environment_is_shown_on_its_channel() -> None:
    notify_env.synchronise(["slack://x"])
    channel = Channel.objects.get()
    assert not channel.enabled
    assert "cannot be used" in channel.error


@pytest.mark.parametrize(
    "value, found",
    [
        ("", []),
        ("slack://a/b/c", ["slack://a/b/c"]),
        ("slack://a/b/c,discord://d/e", ["slack://a/b/c", "discord://d/e"]),
        ("mailto://u:p@h?to=a@b,c@d, json://x\njsons://y", ["mailto://u:p@h?to=a@b,c@d", "json://x", "jsons://y"]),
        ("nonsense", []),
    ],
)  # fmt: skip
def test_urls_in_the_environment_are_told_apart(
    value: str, found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_URLS", value)
    monkeypatch.setattr(env, "problems", [])
    assert env.service_urls("NOTIFY_URLS") == found
    assert bool(env.problems) is (value == "nonsense")


def test_what_is_old_is_forgotten_and_that_is_recorded(receiver: Receiver, trail: Trail) -> None:
    make_route(make_channel(receiver.url()))
    fire()
    dispatch_notifications()
    now = timezone.now()
    assert retention.forget_old(at=now) == (0, 0)
    assert retention.forget_old(at=now + timedelta(days=181))[0] == 1
    assert NotificationGroup.objects.count() == 1  # its alert still fires
    assert [entry.action for entry in trail()].count("notification.forgotten") == 1


@pytest.mark.parametrize(
    "path",
    [
        "/admin/alerts/channel/",
        "/admin/alerts/route/",
        "/admin/alerts/notification/",
        "/api/v1/channels/",
        "/api/v1/routes/",
        "/api/v1/notifications/",
    ],
)
def test_lists_cost_the_same_for_any_number_of_rows(client: Client, path: str) -> None:
    counts = []
    for size in (2, 5):
        for number in range(size):
            channel = make_channel()
            route = make_route(channel)
            facts = {
                "batch": f"{size}:{number}",
                "outcome": "sent",
                "reason": "first",
                "route": route,
            }
            Notification.objects.create(channel=channel, channel_name=channel.name, **facts)
        client.get(path)
        with CaptureQueriesContext(connection) as captured:
            assert client.get(path).status_code == 200
        counts.append(len(captured))
    assert counts[0] == counts[1]
