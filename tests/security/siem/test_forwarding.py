"""Forwarding to Debian's rsyslog by TCP and TLS: whole, in order, and nothing lost by a restart."""

import json
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from audit import services, stream
from audit.models import AuditEntry
from security.models import SiemDestination
from security.siem import destinations, forwarding, messages, transport
from security.tasks import forward_trail
from tests import streams
from tests.core import hostile
from tests.factories import make_user, sign_in
from tests.rsyslog import Rsyslog, rsyslog
from tests.stack import free_port, until

pytestmark = pytest.mark.django_db(transaction=True)
TEXT = 'first line\nsecond line — Grüße, 日本語, \U0001f4a1 "quoted" ] \\ end'


def destination(url: str, **over: Any) -> SiemDestination:
    """Return a destination that has had the entry of its own creation."""
    made = destinations.save(SiemDestination(name="siem", url=url, **over))
    streams.settled()
    made.txid = stream.horizon().txid
    made.save(update_fields=["txid"])
    return made


def record(count: int = 1) -> list[str]:
    made = [str(services.record("config.changed", reason=f"{TEXT} {n}").uid) for n in range(count)]
    streams.settled()
    return made


def lag_seconds() -> float:
    (row,) = SiemDestination.objects.with_oldest_waiting()
    return row.lag_seconds(at=timezone.now())


def uids(receiver: Rsyslog) -> list[str]:
    return [json.loads(body)["event.id"] for _, body in receiver.received()]


@pytest.fixture(params=["tcp", "tls"])
def place(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[Rsyslog, SiemDestination]]:
    if request.param == "tcp":
        with rsyslog(tmp_path) as receiver:
            yield receiver, destination(f"syslog+tcp://127.0.0.1:{receiver.port}")
        return
    _, pem = hostile.certificate(tmp_path)
    with rsyslog(tmp_path, {"ca": pem, "cert": pem, "key": pem.with_suffix(".key")}) as receiver:
        url = f"syslog+tls://localhost:{receiver.port}"
        yield receiver, destination(url, ca_pem=pem.read_text())


def test_entries_arrive_whole_once_and_in_order(place: tuple[Rsyslog, SiemDestination]) -> None:
    receiver, row = place
    wanted = record(700)  # more than a batch
    assert forwarding.forward(row.pk) == 700
    row.refresh_from_db()
    assert row.error == ""
    until(lambda: len(receiver.received()) >= 700, "rsyslog did not write everything")
    assert uids(receiver) == wanted
    head, body = receiver.received()[7]
    assert head.startswith("110 devops-portal config.changed [meta sequenceId=")
    assert json.loads(body)["event.reason"] == f"{TEXT} 7"
    assert forwarding.forward(row.pk) == 0
    assert lag_seconds() == 0


def test_a_restart_of_the_receiver_loses_nothing(place: tuple[Rsyslog, SiemDestination]) -> None:
    receiver, row = place
    wanted = record(3)
    forwarding.forward(row.pk)
    receiver.stop()
    wanted += record(5)
    assert forwarding.forward(row.pk) == 0
    row.refresh_from_db()
    assert "Nothing is listening at" in row.error
    assert row.not_before is not None
    assert lag_seconds() > 0
    assert forwarding.claim_due(at=timezone.now()) == []
    receiver.start()
    assert forwarding.claim_due(at=row.not_before) == [row.pk]
    assert forwarding.forward(row.pk) == 5
    until(lambda: len(receiver.received()) >= 8, "rsyslog did not write everything")
    assert uids(receiver) == wanted
    row.refresh_from_db()
    assert (row.error, row.failures) == ("", 0)


def test_cef_arrives_with_its_unicode(tmp_path: Path) -> None:
    with rsyslog(tmp_path) as receiver:
        row = destination(f"syslog+tcp://127.0.0.1:{receiver.port}", format="cef")
        record()
        forwarding.forward(row.pk)
        until(receiver.received, "nothing arrived")
        body = receiver.received()[0][1]
    assert body.startswith("CEF:0|DevOps Portal|")
    assert "second line — Grüße, 日本語, \U0001f4a1" in body


@pytest.mark.parametrize("given", ["", "other"])
def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path, given: str) -> None:
    context, _ = hostile.certificate(tmp_path)
    ca = hostile.certificate(tmp_path, name="other")[1].read_text() if given else ""
    with hostile.serving(lambda peer: peer.recv(9), context) as url:
        port = int(url.rpartition(":")[2])
        with pytest.raises(transport.TransportError, match="certificate"):
            transport.deliver(transport.SyslogReceiver("localhost", port, True, ca), b"x")


def test_a_receiver_that_resets_or_hangs_has_not_taken_the_batch() -> None:
    def reset(peer: socket.socket) -> None:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")

    with hostile.serving(reset) as url, pytest.raises(transport.TransportError):
        transport.deliver(
            transport.SyslogReceiver("127.0.0.1", int(url.rpartition(":")[2]), False),
            b"x" * 5_000_000,
        )
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = transport.SyslogReceiver("127.0.0.1", silent.getsockname()[1], False)
        with pytest.raises(transport.TransportError, match="did not accept"):
            transport.deliver(place, b"x", seconds=0.5)


def test_an_address_that_is_never_asked_is_refused() -> None:
    with pytest.raises(transport.TransportError):
        transport.deliver(transport.SyslogReceiver("169.254.169.254", 1, False), b"x", seconds=1)


def test_two_ticks_lease_a_destination_once() -> None:
    row = destination(f"syslog+tcp://127.0.0.1:{free_port()}")
    record()
    now = timezone.now()
    assert forwarding.claim_due(at=now) == [row.pk]
    assert forwarding.claim_due(at=now) == []
    assert forwarding.claim_due(at=now + forwarding.LEASE * 2) == [row.pk]


def test_a_sender_that_was_held_up_leaves_the_lease_of_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = destination("syslog+tcp://siem.example")
    record()
    theirs = timezone.now() + forwarding.LEASE * 2

    def held_up(_destination: SiemDestination, _entries: Any) -> None:
        made.refresh_from_db()
        assert made.lease_until is not None
        assert made.lease_until > timezone.now() + forwarding.LEASE / 2  # taken as it began
        SiemDestination.objects.filter(pk=made.pk).update(lease_until=theirs)

    monkeypatch.setattr(messages, "send", held_up)
    assert forwarding.forward(made.pk) == 1
    made.refresh_from_db()
    assert made.lease_until == theirs


@pytest.mark.parametrize("failures, seconds", [(0, 2), (3, 16), (20, 300)])
def test_each_failure_rests_for_longer_and_five_minutes_at_most(
    failures: int, seconds: int
) -> None:
    made, now = destination("syslog+tcp://siem.example"), timezone.now()
    SiemDestination.objects.update(failures=failures, failing_since=now if failures else None)
    forwarding._failed(made.pk, "It is away.", at=now)
    made.refresh_from_db()
    assert made.not_before == now + timedelta(seconds=seconds)


def test_a_sender_that_was_overtaken_does_not_move_the_cursor_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = destination("syslog+tcp://siem.example")
    record()
    further = made.txid + 1_000_000

    def overtaken(_destination: SiemDestination, _entries: Any) -> None:
        SiemDestination.objects.filter(pk=made.pk).update(txid=further, sent=500)

    monkeypatch.setattr(messages, "send", overtaken)
    forwarding.forward(made.pk)
    made.refresh_from_db()
    assert (made.txid, made.sent) == (further, 500)


def test_a_database_restored_into_another_cluster_goes_on_at_this_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Numbers of transactions of another cluster mean nothing here: they may lie far ahead."""
    made = destination("syslog+tcp://siem.example")
    SiemDestination.objects.update(cluster="another", txid=2**40)
    sent: list[Any] = []
    monkeypatch.setattr(messages, "send", lambda _made, entries: sent.extend(entries))
    assert forwarding.forward(made.pk) == 0
    wanted = record(2)
    forwarding.forward(made.pk)
    assert [str(entry.uid) for entry in sent if str(entry.uid) in wanted] == wanted
    made.refresh_from_db()
    assert (made.cluster, made.txid < 2**40) == (stream.cluster(), True)


def test_a_fault_of_our_own_is_shown_and_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    row = destination(f"syslog+tcp://127.0.0.1:{free_port()}")
    record()
    monkeypatch.setattr(messages, "message_of", lambda *_: 1 // 0)
    assert forwarding.forward(row.pk) == 0
    row.refresh_from_db()
    assert "ZeroDivisionError" in row.error
    assert (row.failures, row.lease_until) == (1, None)
    assert forwarding.claim_due(at=timezone.now()) == []


def test_a_new_destination_begins_at_its_creation_and_the_tick_sends(
    tmp_path: Path, settings: Any
) -> None:
    settings.CELERY_TASK_ALWAYS_EAGER = True
    record(2)
    with rsyslog(tmp_path) as receiver:
        destination(f"syslog+tcp://127.0.0.1:{receiver.port}")
        wanted = record(2)
        while lag_seconds():
            for pk in forwarding.claim_due(at=timezone.now()):
                forwarding.forward(pk)
        forward_trail()
        until(lambda: len(receiver.received()) >= 2, "nothing arrived")
        assert [uid for uid in uids(receiver) if uid in wanted] == wanted


@pytest.mark.parametrize(
    "url",
    [
        "http://x",
        "syslog+tcp://",
        "syslog+tcp://h:99999",
        "syslog+tls://u:p@h",
        "syslog+tcp://[",
        "x",
    ],
)
def test_a_wrong_url_is_a_400_with_a_sentence(client: Client, url: str) -> None:
    sign_in(client, make_user())
    body = {"name": "a", "url": url}
    answer = client.post("/api/v1/siem-destinations/", body, content_type="application/json")
    assert answer.status_code == 400
    assert "syslog+tcp://host:514" in json.dumps(answer.json()["errors"])


def test_a_destination_is_made_changed_and_removed_by_api_and_audited(client: Client) -> None:
    sign_in(client, make_user())
    url = "/api/v1/siem-destinations/"
    body = {"name": "a", "url": "syslog+tcp://siem.example"}
    made = client.post(url, body, content_type="application/json").json()
    one = f"{url}{made['id']}/"
    changed = client.patch(one, {"format": "cef"}, content_type="application/json").json()
    assert (changed["format"], changed["url"]) == ("cef", body["url"])
    assert client.get(url).json()["results"][0]["lag_seconds"] >= 0
    assert client.get("/admin/security/siemdestination/").status_code == 200
    assert client.delete(one).status_code == 204
    found = AuditEntry.objects.filter(target_type="security.siemdestination", target_id=made["id"])
    assert [e.action for e in found.order_by("id")] == [
        "object.created",
        "object.updated",
        "object.deleted",
    ]


def test_a_change_that_was_read_before_a_batch_went_leaves_the_cursor_where_it_is() -> None:
    made = destination("syslog+tcp://siem.example")
    form = SiemDestination.objects.get(pk=made.pk)
    SiemDestination.objects.filter(pk=made.pk).update(txid=made.txid + 7, sent=500, failures=0)
    form.max_bytes = 4096
    destinations.save(form)
    made.refresh_from_db()
    assert (made.max_bytes, made.sent, made.txid) == (4096, 500, form.txid + 7)


@pytest.mark.parametrize(
    "url, ca, token",
    [
        ("syslog+tls://siem.example/path", "", ""),
        ("https://siem.example/#part", "", ""),
        ("syslog+tls://siem.example", "no certificate", ""),
        ("https://siem.example/", "", "tökén"),
    ],
)
def test_a_wrong_variable_is_a_line_in_the_log_and_no_traceback(
    url: str, ca: str, token: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "ca.pem"
    file.write_text(ca)
    assert not destinations.synchronise(url, str(file), token)
    assert "SIEM_URL, SIEM_TOKEN or SIEM_CA_FILE cannot be used" in caplog.text
    assert not SiemDestination.objects.exists()


def test_the_environment_keeps_a_managed_destination() -> None:
    assert destinations.synchronise("syslog+tcp://siem.example:514", "")
    assert not destinations.synchronise("syslog+tcp://siem.example:514", "")
    assert destinations.synchronise("", "")
    row = SiemDestination.objects.get(name="siem")
    assert (row.managed, row.enabled) == (True, False)
