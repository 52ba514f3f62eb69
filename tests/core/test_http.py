"""The HTTP floor against hostile servers: bounded in time and memory, and always a sentence."""

import ipaddress
import json
import socket
import ssl
import threading
import time
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from portal.core import ca_bundle, sockets
from portal.core.http import Client, Fault, Target, UpstreamError
from tests.core.hostile import (
    Script,
    certificate,
    dripping,
    endless,
    gzip_bomb,
    read_head,
    reply,
    serving,
)

MB = 1024 * 1024


def ask(url: str, **bounds: Any) -> UpstreamError:
    """Ask `url` and return the error it must end in."""
    target = Target("server", url, **{"timeout_seconds": 5.0, "max_body_bytes": 4 * MB, **bounds})
    with Client(target) as client, pytest.raises(UpstreamError) as caught:
        client.get("/api").json()
    return caught.value


@pytest.fixture
def stop() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


@pytest.mark.parametrize(
    "script, fault, words",
    [
        pytest.param(reply(b"", "401 Unauthorized"), Fault.UNAUTHORISED, "rejected the credentials", id="401"),
        pytest.param(reply(b"", "403 Forbidden"), Fault.UNAUTHORISED, "HTTP 403", id="403"),
        pytest.param(reply(b"", "404 Not Found"), Fault.NOT_FOUND, "path prefix", id="404"),
        pytest.param(reply(b"no", "400 Bad Request"), Fault.REJECTED, "HTTP 400: no", id="400"),
        pytest.param(reply(b"", "429 Too Many Requests"), Fault.RATE_LIMITED, "429", id="429"),
        pytest.param(
            reply(b'{"error": "tsdb\\u0000 is\\nbroken"}', "500 Oops", "Content-Type: application/json"),
            Fault.SERVER_ERROR, "HTTP 500: tsdb  is broken", id="500-with-json-message",
        ),
        pytest.param(
            reply(b"<html>secret page</html>", "502 Bad Gateway", "Content-Type: text/html"),
            Fault.SERVER_ERROR, "failed with HTTP 502. See", id="502-html-is-not-quoted",
        ),
        pytest.param(
            reply(b"\n<!DOCTYPE html><p>Sign in"), Fault.NOT_JSON, "HTML page instead", id="html-for-json"
        ),
        pytest.param(reply(b"hello"), Fault.NOT_JSON, "not JSON", id="text-for-json"),
        pytest.param(reply(b"[" * 100_000), Fault.NOT_JSON, "not JSON", id="nested-too-deeply"),
        pytest.param(reply(b"{}", length=500), Fault.BROKEN, "closed before", id="truncated-body"),
        pytest.param(lambda peer: read_head(peer), Fault.BROKEN, "closed before", id="hangs-up"),
        pytest.param(
            lambda peer: peer.sendall(b"SSH-2.0-OpenSSH_9.2\r\n"), Fault.BROKEN, "closed", id="another-protocol"
        ),
        pytest.param(
            reply(b"not gzip", "200 OK", "Content-Encoding: gzip"),
            Fault.BROKEN, "cannot be decompressed", id="wrong-encoding",
        ),
        pytest.param(
            reply(b"", "302 Found", "Location: http://example.org/login"),
            Fault.REDIRECT, "example.org", id="redirect-to-another-host",
        ),
        pytest.param(
            reply(b"", "302 Found", "Location: /again"), Fault.REDIRECT, "more than 3 times", id="redirect-loop"
        ),
    ],
)  # fmt: skip
def test_a_wrong_answer_becomes_its_fault_and_a_sentence(
    script: Script, fault: Fault, words: str
) -> None:
    with serving(script) as url:
        error = ask(url)
    assert (error.fault, words in str(error)) == (fault, True), str(error)
    assert str(error).endswith(".")
    assert "\n" not in str(error)


def test_nothing_listens_says_connection_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    error = ask(f"http://127.0.0.1:{port}")
    assert error.fault is Fault.REFUSED
    assert error.retryable


def test_a_name_that_does_not_exist_says_so() -> None:
    assert ask("http://nowhere.invalid:9090").fault is Fault.NAME


@pytest.mark.parametrize(
    "script, encoding",
    [
        pytest.param(reply(b"", "200 OK", length=50 * MB), "identity", id="announced-50-MB"),
        pytest.param(endless(50 * MB), "identity", id="streamed-50-MB"),
        pytest.param(
            reply(gzip_bomb(100), "200 OK", "Content-Encoding: gzip"), "gzip", id="gzip-bomb-of-100-MB"
        ),
    ],
)  # fmt: skip
def test_a_body_above_the_limit_is_refused_in_bounded_memory(script: Script, encoding: str) -> None:
    with serving(script) as url:
        tracemalloc.start()
        try:
            error = ask(url, encoding=encoding)
            _now, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert error.fault is Fault.TOO_LARGE
    assert "max_body_mb" in str(error)
    assert peak < 24 * MB


@pytest.mark.parametrize(
    "preface, drop",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"a", id="body"),
        pytest.param(b"HTTP/1.1 200 OK\r\n", b"X-Drip: 1\r\n", id="headers"),
        pytest.param(b"HTTP/1.1 200 ", b"O", id="status-line"),
    ],
)
def test_a_slow_drip_ends_at_the_deadline(
    preface: bytes, drop: bytes, stop: threading.Event
) -> None:
    with serving(dripping(preface, drop, stop)) as url:
        started = time.monotonic()
        error = ask(url, timeout_seconds=1.0)
        lasted = time.monotonic() - started
    assert error.fault is Fault.TIMEOUT, str(error)
    assert 0.5 < lasted < 3
    assert "timeout_seconds" in str(error)


def test_a_drip_inside_the_tls_handshake_ends_at_the_deadline(stop: threading.Event) -> None:
    """A record announced as 16 KB of which a byte comes now and then."""
    with serving(dripping(b"", b"\x16\x03\x03\x40\x00\x02", stop, waits=False)) as url:
        started = time.monotonic()
        error = ask(url.replace("http:", "https:"), timeout_seconds=1.0)
    assert error.fault is Fault.TIMEOUT, str(error)
    assert time.monotonic() - started < 3


def test_silence_ends_at_the_deadline(stop: threading.Event) -> None:
    with serving(lambda _peer: stop.wait(20)) as url:
        assert ask(url, timeout_seconds=0.5).fault is Fault.TIMEOUT


def test_connections_are_reused() -> None:
    opened: list[int] = []

    def script(peer: socket.socket) -> None:
        opened.append(peer.fileno())
        reply(b"{}")(peer)

    with serving(script) as url, Client(Target("server", url)) as client:
        assert [client.get(f"/{n}").json() for n in range(5)] == [{}] * 5
    assert len(opened) == 1


def test_a_connection_closed_while_idle_is_no_error() -> None:
    """Servers close idle connections; the next poll must not fail because of that."""

    def script(peer: socket.socket) -> None:
        read_head(peer)
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    with serving(script) as url, Client(Target("server", url)) as client:
        client.get("/first")
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline and not _closed_by_peer(client):
            time.sleep(0.01)
        assert client.get("/second").json() == {}


def _closed_by_peer(client: Client) -> bool:
    adapter: Any = client._session.get_adapter("http://")
    pool = adapter.poolmanager.connection_from_url(client.target.base_url)
    connection = pool.pool.queue[-1]
    return connection is None or not connection.is_connected


@pytest.mark.parametrize(
    "options, words",
    [
        pytest.param({"days": -1}, "has expired", id="expired"),
        pytest.param(
            {"name": "other.example", "address": "192.0.2.1"}, "another host name", id="wrong-name"
        ),
    ],
)
def test_a_wrong_certificate_says_what_is_wrong(
    options: dict[str, Any], words: str, tmp_path: Path
) -> None:
    context, authority = certificate(tmp_path, **options)
    with serving(reply(), context) as url:
        error = ask(url, ca_file=str(authority))
    assert (error.fault, words in str(error)) == (Fault.TLS, True), str(error)


def test_an_unknown_authority_names_the_option_that_cures_it(tmp_path: Path) -> None:
    context, authority = certificate(tmp_path)
    with serving(reply(), context) as url:
        assert "ca_file" in str(ask(url))
        with Client(Target("server", url, ca_file=str(authority))) as client:
            assert client.get("/").json() == {}


def test_an_authority_of_the_machine_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, authority = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    with serving(reply(), context) as url, Client(Target("server", url)) as client:
        assert client.get("/").json() == {}


@pytest.mark.parametrize("files, kept", [(["0a1b2c3d.0"], True), (["readme"], False), ([], False)])
def test_a_folder_of_authorities_counts_when_it_holds_some(
    files: list[str], kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in files:
        (tmp_path / name).touch()
    found = SimpleNamespace(cafile=None, capath=str(tmp_path))
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: found)
    assert ca_bundle.system_bundle() == (str(tmp_path) if kept else True)


def test_tls_against_a_plain_server_says_so() -> None:
    refusing = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"

    def script(peer: socket.socket) -> None:
        peer.recv(10)
        peer.sendall(refusing)

    with serving(script) as url:
        error = ask(url.replace("http:", "https:"))
    assert error.fault is Fault.TLS
    assert "does not speak TLS" in str(error)


def test_a_missing_ca_file_is_a_sentence() -> None:
    error = ask("https://127.0.0.1:1", ca_file="/nowhere/ca.pem")
    assert error.fault is Fault.TLS
    assert "/nowhere/ca.pem" in str(error)


@pytest.mark.parametrize("hours", [-1, 0, 1])
def test_a_clock_that_is_off_is_measured(hours: int) -> None:
    when = format_datetime(datetime.now(UTC) + timedelta(hours=hours), usegmt=True)
    with (
        serving(reply(b"{}", "200 OK", f"Date: {when}")) as url,
        Client(Target("server", url)) as client,
    ):
        skew = client.get("/").skew_seconds
    assert skew is not None
    assert abs(skew - hours * 3600) < 3


@pytest.mark.parametrize(
    "date",
    [
        "yesterday",
        "Mon, 99 Foo 2026 99:99:99 GMT",
        "",
        "1 Jan 99999999999 00:00:00 GMT",
        "Mon, 01 Jan 2026 00:00:00 +99999999999999",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Mon, 01 Jan 1900 00:00:00 GMT",
    ],
)
def test_a_date_that_cannot_be_read_is_no_skew(date: str) -> None:
    with (
        serving(reply(b"{}", "200 OK", f"Date: {date}")) as url,
        Client(Target("server", url)) as client,
    ):
        assert client.get("/").skew_seconds is None


@pytest.mark.parametrize(
    "peer, forbidden",
    [
        ("169.254.169.254", True),
        ("::ffff:169.254.169.254", True),
        ("fe80::1%eth0", True),
        ("fd00:ec2::254", True),
        ("100.100.100.200", True),
        ("127.0.0.1", False),
        ("10.0.0.1", False),
        ("::1", False),
        ("2001:db8::1", False),
    ],
)
def test_the_address_connected_to_decides(peer: str, forbidden: bool) -> None:
    class Connected:
        closed = False

        def getpeername(self) -> tuple[str, int]:
            return peer, 80

        def close(self) -> None:
            self.closed = True

    connected = Connected()
    refused = False
    try:
        sockets._refuse_forbidden_peer(connected)
    except sockets.ForbiddenAddressError:
        refused = True
    assert (refused, connected.closed) == (forbidden, forbidden)


def test_a_forbidden_address_is_never_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loopback stands for the metadata service: the request must not leave."""
    asked: list[bytes] = []
    monkeypatch.setattr(sockets, "FORBIDDEN_NETWORKS", (ipaddress.ip_network("127.0.0.0/8"),))
    with serving(lambda peer: asked.append(read_head(peer))) as url:
        error = ask(url)
    assert error.fault is Fault.FORBIDDEN_ADDRESS
    assert "metadata" in str(error)
    assert b"".join(asked) == b""


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest",
        "http://2852039166/",
        "http://0xa9fea9fe/",
        "http://0251.0376.0251.0376/",
        "http://[::ffff:169.254.169.254]/",
        "http://user@169.254.169.254/",
        "https://[fd00:ec2::254]/",
    ],
)
def test_a_forbidden_address_is_refused_before_a_packet_is_sent(url: str) -> None:
    """Where nothing answers there, connecting would take the whole time limit and look like an outage."""
    began = time.monotonic()
    assert ask(url).fault is Fault.FORBIDDEN_ADDRESS
    assert time.monotonic() - began < 5


def test_the_credentials_never_appear_in_the_error_or_the_target() -> None:
    target = Target("server", "http://127.0.0.1:1", credentials={"token": "hunter2"})
    with Client(target) as client, pytest.raises(UpstreamError) as caught:
        client.get("/")
    assert "hunter2" not in f"{caught.value} {target!r}"


def test_a_body_of_json_is_decoded_with_its_content_type() -> None:
    body = json.dumps({"data": [1, 2]}).encode()
    script = reply(body, "200 OK", "Content-Type: application/json")
    with serving(script) as url, Client(Target("server", url)) as client:
        answer = client.get("/", {"q": "up == 0"})
    assert (answer.status, answer.json()["data"]) == (200, [1, 2])
    assert answer.content_type == "application/json"
