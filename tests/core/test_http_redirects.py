"""Redirects are followed as long as the credentials stay with their server, and encrypted."""

import socket
from pathlib import Path
from typing import Any

import pytest

from portal.core.http import Client, Fault, Target, UpstreamError, _elsewhere
from tests.core.hostile import certificate, read_head, reply, serving

TOKEN = {"token": "hunter2"}


def refused(url: str, **bounds: Any) -> UpstreamError:
    target = Target("server", url, timeout_seconds=5.0, credentials=TOKEN, **bounds)
    with Client(target) as client, pytest.raises(UpstreamError) as caught:
        client.get("/api")
    return caught.value


def test_a_redirect_within_the_host_is_followed() -> None:
    def script(peer: socket.socket) -> None:
        while head := read_head(peer):
            moved = b"HTTP/1.1 301 Moved\r\nLocation: /prefix/api\r\nContent-Length: 0\r\n\r\n"
            there = b'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"ok"'
            peer.sendall(there if b"GET /prefix/api " in head else moved)

    with serving(script) as url, Client(Target("server", url)) as client:
        assert client.get("/api").json() == "ok"


def test_a_redirect_never_carries_the_token_to_another_port() -> None:
    seen: list[bytes] = []

    def thief(peer: socket.socket) -> None:
        seen.append(read_head(peer))
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    with serving(thief) as other, serving(reply(b"", "307 Go", f"Location: {other}/")) as url:
        error = refused(url)
    assert error.fault is Fault.REDIRECT
    assert seen == []


@pytest.mark.parametrize(
    "before, after, words",
    [
        ("https://am.example/api", "http://am.example/api", "an unencrypted address"),
        ("https://am.example/api", "https://am.example:444/api", "another host"),
        ("http://am.example/api", "https://am.example/api", ""),
        ("https://am.example/api", "https://am.example/prefix/api", ""),
    ],
    ids=["to plain HTTP", "another port", "to HTTPS", "another path"],
)
def test_where_a_redirect_may_not_lead(before: str, after: str, words: str) -> None:
    said = _elsewhere(before, after)
    assert (words in said, bool(said)) == (True, bool(words))


def test_a_redirect_from_tls_to_plain_http_is_not_followed(tmp_path: Path) -> None:
    seen: list[bytes] = []

    def downgrading(peer: socket.socket) -> None:
        seen.append(read_head(peer))
        host = seen[0].partition(b"Host: ")[2].partition(b"\r")[0]
        head = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: http://"
        peer.sendall(head + host + b"/api\r\n\r\n")

    context, authority = certificate(tmp_path)
    with serving(downgrading, context) as url:
        error = refused(url, ca_file=str(authority))
    assert (error.fault, len(seen)) == (Fault.REDIRECT, 1)
    assert "an unencrypted address" in str(error)
