"""10,000 transitions routed and delivered to a receiver on this machine, beside as many bare posts."""

import json
import subprocess
import sys
from collections.abc import Iterator

import requests
from django.db import connection
from django.utils import timezone

from alerts import delivery, dispatch, router
from alerts.models import Alert, Transition
from alerts.notification_models import Notification, Route
from portal.core.models import Upstream
from tests.bench.table import Row, seconds
from tests.factories import build_alert, make_channel, make_route

TRANSITIONS = 10_000


def measure() -> Iterator[Row]:
    receiver = subprocess.Popen([sys.executable, "-c", RECEIVER], stdout=subprocess.PIPE, text=True)
    try:
        assert receiver.stdout is not None
        port = int(receiver.stdout.readline())
        yield from _measure(port)
    finally:
        receiver.terminate()
        receiver.wait(10)


def _measure(port: int) -> Iterator[Row]:
    upstream = Upstream.objects.create(
        name="bench-notify", kind="alertmanager", url="http://127.0.0.1:9", enabled=False
    )
    channel = make_channel(f"json://127.0.0.1:{port}/", name="bench", budget_messages=100_000)
    make_route(channel, name="bench", group_by=["..."])
    _fire(upstream)
    routing = seconds(lambda: (router.route_waiting(), dispatch.flush_due()))
    waiting = Notification.objects.filter(outcome="pending")
    assert waiting.count() == TRANSITIONS
    delivering = seconds(lambda: delivery.deliver(channel.pk, seconds=600))
    assert Notification.objects.filter(outcome="sent").count() == TRANSITIONS
    assert not Transition.objects.filter(routed_at=None).exists()
    floor = seconds(lambda: _post(port))
    yield Row(
        f"{TRANSITIONS:,} transitions routed and delivered, a message each",
        f"{routing + delivering:.1f} s ({TRANSITIONS / (routing + delivering):.0f}/s)",
        f"{floor:.1f} s the same bare posts",
        (routing + delivering) / floor,
        3,
    )
    yield Row(
        "  of it claiming, matching, grouping, wording",
        f"{routing * 1000:.0f} ms",
        "",
        TRANSITIONS / routing,
        1000,
        "transitions/s",
        True,
    )
    yield from _grouped(upstream, channel.pk)
    _clear(upstream)


def _grouped(upstream: Upstream, channel_id: int) -> Iterator[Row]:
    """The same storm on a route that groups by name: eight messages."""
    _clear_alerts()
    Route.objects.update(group_by=["alertname"])
    _fire(upstream)

    def work() -> None:
        router.route_waiting()
        dispatch.flush_due()
        delivery.deliver(channel_id)

    taken = seconds(work)
    assert Notification.objects.filter(outcome="sent").count() == 8
    yield Row(
        f"{TRANSITIONS:,} transitions grouped into 8 messages, delivered",
        f"{taken * 1000:.0f} ms",
        "",
        TRANSITIONS / taken,
        2000,
        "transitions/s",
        True,
    )


def _fire(upstream: Upstream) -> None:
    names = [f"RoutingRule{number}" for number in range(8)]
    alerts = [build_alert(upstream, alertname=names[n % 8]) for n in range(TRANSITIONS)]
    Alert.objects.bulk_create(alerts, batch_size=1000)
    now = timezone.now()
    Transition.objects.bulk_create(
        [Transition(alert=alert, kind="opened", at=now, source="poll") for alert in alerts],
        batch_size=1000,
    )


def _post(port: int) -> None:
    """What a sender without a portal would do: the same bodies, one request each."""
    bodies = Notification.objects.values_list("subject", "body")
    for title, message in bodies:
        body = {
            "version": "1.0",
            "title": title,
            "message": message,
            "attachments": [],
            "type": "failure",
        }
        reply = requests.post(
            f"http://127.0.0.1:{port}/", json.dumps(body), timeout=10,
            headers={"Content-Type": "application/json"},
        )  # fmt: skip
        assert reply.status_code == 200


def _clear_alerts() -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE alerts_alert, alerts_transition, alerts_notification, alerts_notificationgroup,"
                       " alerts_groupmember")  # fmt: skip


def _clear(upstream: Upstream) -> None:
    _clear_alerts()
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE alerts_route, alerts_channel CASCADE")
    upstream.delete()


RECEIVER = """
import socketserver
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        while line := self.rfile.readline():
            length = 0
            while (line := self.rfile.readline()) not in (b"\\r\\n", b""):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            self.rfile.read(length)
            self.wfile.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 128
server = Server(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
"""
