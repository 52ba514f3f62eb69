"""The bodies that Slack, Discord and Opsgenie document, as they arrive at a receiver of ours.

Apprise's plugins for them speak to the vendors' hosts. Each keeps the address in an attribute of its
class or module, which these tests point to a receiver on this machine, and to plain HTTP.
"""

import importlib
from collections.abc import Iterator
from typing import Any

import pytest

from alerts import apprise_capture, sender
from alerts.models import Alert
from alerts.notification_models import Notification
from alerts.tasks import dispatch_notifications
from tests.alerts.test_delivery import end, fire, later
from tests.factories import make_channel, make_route, make_service
from tests.receivers import Receiver, http_receiver

pytestmark = pytest.mark.django_db
SLACK = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#alerts"
DISCORD = "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js"
OPSGENIE = "opsgenie://eb243592-faa2-4ba2-a551-1afdf565c889"


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with http_receiver() as found:
        base = found.url("http", "")
        names = ("slack", "discord", "opsgenie")
        plugins = {name: importlib.import_module(f"apprise.plugins.{name}") for name in names}
        monkeypatch.setattr(plugins["slack"].NotifySlack, "webhook_url", f"{base}services")
        monkeypatch.setattr(plugins["discord"].NotifyDiscord, "notify_url", f"{base}api/webhooks")
        addresses = plugins["opsgenie"].OPSGENIE_API_LOOKUP
        for region in addresses:
            monkeypatch.setitem(addresses, region, f"{base}v2/alerts")
        yield found


def one_alert(url: str) -> Alert:
    make_route(make_channel(url))
    return fire(
        severity="critical",
        service=make_service(slug="checkout"),
        annotations={"summary": "4.1 % of payments fail <now> & then"},
    )


def test_slack_gets_the_body_of_an_incoming_webhook(receiver: Receiver) -> None:
    """https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks/"""
    one_alert(SLACK)
    dispatch_notifications()
    request = receiver.requests[0]
    assert request.path == "/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
    assert request.headers["Content-Type"].startswith("application/json")
    body: dict[str, Any] = request.json()
    said = body["attachments"][0]
    assert body["channel"] == "#alerts"
    assert said["title"] == "[FIRING] HighCPU on checkout (critical)"
    # Slack's three control characters are escaped: https://docs.slack.dev/messaging/formatting-message-text/
    assert "4.1 % of payments fail &lt;now&gt; &amp; then" in said["text"]
    assert "/admin/alerts/alert/" in said["text"]


def test_discord_gets_the_body_of_execute_webhook(receiver: Receiver) -> None:
    """https://docs.discord.com/developers/resources/webhook#execute-webhook"""
    receiver.status, receiver.body = 204, b""
    one_alert(DISCORD)
    dispatch_notifications()
    request = receiver.requests[0]
    assert request.path.partition("?")[0] == "/api/webhooks/4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js"
    body = request.json()
    assert "[FIRING] HighCPU on checkout (critical)" in body["content"]
    assert "4.1 % of payments fail <now> & then" in body["content"]
    assert len(body["content"]) <= 2000
    assert Notification.objects.get().outcome == "sent"


def test_discord_that_limits_is_not_waited_for(receiver: Receiver) -> None:
    """https://docs.discord.com/developers/topics/rate-limits: 429 with Retry-After and retry_after."""
    receiver.status, receiver.headers = 429, {"Retry-After": "64", "X-RateLimit-Remaining": "0"}
    receiver.body = (
        b'{"message": "You are being rate limited.", "retry_after": 64.57, "global": false}'
    )
    one_alert(DISCORD)
    dispatch_notifications()
    row = Notification.objects.get()
    assert len(receiver.requests) == 1
    assert "asks to wait 64 s" in row.answer
    assert "You are being rate limited." in row.answer


def test_opsgenie_opens_with_an_alias_and_closes_by_it(receiver: Receiver) -> None:
    """https://docs.opsgenie.com/docs/alert-api: create alert, close alert."""
    receiver.status = 202
    receiver.body = (
        b'{"result": "Request will be processed", "took": 0.302, "requestId": "43a29c5c"}'
    )
    alert = one_alert(OPSGENIE)
    dispatch_notifications()
    opened = receiver.requests[0]
    assert opened.path == "/v2/alerts"
    assert opened.headers["Authorization"] == "GenieKey eb243592-faa2-4ba2-a551-1afdf565c889"
    body = opened.json()
    assert body["message"] == "[FIRING] HighCPU on checkout (critical)"
    assert len(body["message"]) <= 130
    assert "4.1 % of payments fail" in body["description"]
    assert body["alias"].startswith("portal-group:")
    assert body["priority"] in ("P1", "P2", "P3", "P4", "P5")
    end(alert)
    later(minutes=6)
    dispatch_notifications()
    closed = receiver.requests[1]
    alias = body["alias"].replace(":", "%3A")
    assert closed.path == f"/v2/alerts/{alias}/close?identifierType=alias"
    assert "[RESOLVED]" in closed.json()["note"]


def test_an_answer_without_end_is_read_up_to_a_bound(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apprise_capture, "MAX_ANSWER_BYTES", 1000)
    receiver.body = b"x" * 3_000_000
    reply = apprise_capture.CapturingRequests().post(receiver.url("http"), b"", timeout=5)
    assert (reply.status_code, len(reply.content)) == (200, 1000)
    make_route(make_channel(receiver.url()))
    fire()
    dispatch_notifications()
    assert Notification.objects.get().outcome == "sent"


def test_a_plugin_that_fails_is_logged_by_its_place_and_without_its_words(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_args: Any, **_options: Any) -> None:
        raise KeyError("hunter2")

    monkeypatch.setattr(sender, "_notify", fail)
    make_route(make_channel(receiver.url()))
    fire()
    dispatch_notifications()
    assert "KeyError in the Apprise plugin." in Notification.objects.get().answer
    assert "failed with KeyError at test_providers.py:" in caplog.text
    assert "hunter2" not in caplog.text
