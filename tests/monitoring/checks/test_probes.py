"""One question to one target: what real sockets answer, and the sentence for it."""

import ipaddress
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from monitoring.checks.flips import ProbeResult
from monitoring.checks.probes import probe
from monitoring.models import Check
from portal.core.models import Upstream
from tests.core.hostile import certificate, endless, read_head, reply, serving


def ask(kind: str, target: str, **over: Any) -> ProbeResult:
    return probe(Check(kind=kind, target=target, **{"timeout_seconds": 2, **over}), None)


@pytest.mark.parametrize(
    ("script", "options", "status", "words"),
    [
        (reply(b"ok"), {}, "up", "HTTP 200 in"),
        (reply(b"ok", "503 Service Unavailable"), {}, "down", "HTTP 503; expected: 200-399"),
        (reply(b"no", "401 Unauthorized"), {"expected_status": "401"}, "up", "HTTP 401"),
        (reply(b'{"ok": true}'), {"body_pattern": '"ok":\\s*true'}, "up", "HTTP 200"),
        (reply(b"line\nbad"), {"body_pattern": "ok"}, "down", "does not contain 'ok'"),
        (reply(b"a\nfine\nb"), {"body_pattern": "fine|good"}, "up", "HTTP 200"),
        (reply(b"", "302 Found", "Location: /"), {}, "down", "redirects more than 3 times"),
        (reply(b"", "302 Found", "Location: http://198.51.100.7/"), {}, "down", "another host"),
        (reply(b"", "302 Found", "Location: /"), {"follow_redirects": False}, "up", "HTTP 302"),
        (endless(8 * 1024 * 1024), {"body_pattern": "aaa"}, "up", "HTTP 200"),
        (reply(b"ok"), {"degraded_after_seconds": 0}, "degraded", "is slow"),
    ],
)
def test_http(script: Any, options: dict[str, Any], status: str, words: str) -> None:
    with serving(script) as url:
        answer = ask("http", url, **options)
    assert (answer.status, words in answer.sentence) == (status, True), answer.sentence


def test_headers_and_method_are_those_of_the_check() -> None:
    heads: list[bytes] = []

    def script(peer: socket.socket) -> None:
        heads.append(read_head(peer))
        peer.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")

    with serving(script) as url:
        assert ask("http", url, method="HEAD", headers={"X-Key": "hidden"}).status == "up"
    assert heads[0].startswith(b"HEAD / ")
    assert b"X-Key: hidden\r\n" in heads[0]


def test_a_target_that_hangs_is_down_after_the_timeout() -> None:
    stop = threading.Event()
    with serving(lambda _peer: stop.wait(10)) as url:
        answer = ask("http", url, timeout_seconds=0.3)
        stop.set()
    assert (answer.status, answer.sentence) == ("down", "It did not answer within 0.3 seconds.")


def test_a_metadata_address_is_refused_and_says_nothing_of_the_target(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "portal.core.sockets.FORBIDDEN_NETWORKS", (ipaddress.ip_network("127.0.0.0/8"),)
    )
    with serving(reply(b"credentials")) as url:
        for kind, target in (("http", url), ("tcp", url[7:]), ("tls", url[7:])):
            answer = ask(kind, target)
            assert (answer.status, "never connects" in answer.sentence) == ("unknown", True)


def test_tcp_connects_or_says_why_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert ask("tcp", f"127.0.0.1:{port}").status == "up"
    refused = ask("tcp", f"127.0.0.1:{port}")
    assert (refused.status, "connection refused" in refused.sentence) == ("down", True)


@pytest.mark.parametrize(
    ("days", "status", "words"),
    [
        (90, "up", "valid until"),
        (5, "degraded", "Renew it soon"),
        (-1, "down", "expired on"),
    ],
)
def test_tls_expiry_of_a_certificate(tmp_path: Path, days: int, status: str, words: str) -> None:
    context, _pem = certificate(tmp_path, days=days)
    with serving(reply(), context) as url:
        answer = ask("tls", url[8:], verify_tls=False)
    assert (answer.status, words in answer.sentence) == (status, True), answer.sentence
    assert answer.certificate_ends_at is not None


@pytest.mark.parametrize("kind", ["tls", "http"])
def test_an_expired_certificate_of_a_known_authority_is_down(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, pem = certificate(tmp_path, days=-1)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    with serving(reply(), context) as url:
        answer = ask(kind, url[8:] if kind == "tls" else url)
    assert (answer.status, "has expired" in answer.sentence) == ("down", True), answer.sentence


def test_tls_of_an_unknown_authority_is_down_with_a_cure(tmp_path: Path) -> None:
    context, _pem = certificate(tmp_path, days=90)
    with serving(reply(), context) as url:
        answer = ask("tls", url[8:])
    assert answer.status == "down"
    assert "unknown CA. Trust the CA on the portal's machine, or turn" in answer.sentence


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b'{"status":"success","data":{"resultType":"vector","result":'
         b'[{"metric":{"job":"api"},"value":[1,"1"]}]}}', "up", "The value is > 0."),
        (b'{"status":"success","data":{"resultType":"vector","result":'
         b'[{"metric":{"job":"a"},"value":[1,"1"]},{"metric":{"job":"b"},"value":[1,"2"]}]}}',
         "up", "All 2 values are > 0."),
        (b'{"status":"success","data":{"resultType":"vector","result":'
         b'[{"metric":{"job":"a"},"value":[1,"0"]},{"metric":{"job":"b"},"value":[1,"2"]}]}}',
         "down", "should be > 0. Failing: 1 of 2 values."),
        (b'{"status":"success","data":{"resultType":"vector","result":'
         b'[{"metric":{"job":"api"},"value":[1,"0"]}]}}', "down", 'job="api"'),
        (b'{"status":"success","data":{"resultType":"vector","result":[]}}', "unknown", "no value"),
        (b"<html>login</html>", "unknown", "HTML page"),
    ],
)  # fmt: skip
def test_promql(body: bytes, status: str, words: str) -> None:
    with serving(reply(body)) as url:
        prometheus = Upstream(name="prom", kind="prometheus", url=url)
        answer = probe(Check(kind="promql", promql="up", timeout_seconds=2), prometheus)
    assert (answer.status, words in answer.sentence) == (status, True), answer.sentence


def test_promql_that_is_invalid_says_what_prometheus_says() -> None:
    body = b'{"status":"error","errorType":"bad_data","error":"parse error: unexpected end"}'
    with serving(reply(body, "400 Bad Request")) as url:
        prometheus = Upstream(name="prom", kind="prometheus", url=url)
        answer = probe(Check(kind="promql", promql="up{", timeout_seconds=2), prometheus)
    assert (answer.status, "unexpected end" in answer.sentence) == ("unknown", True)


def test_promql_without_a_prometheus_is_unknown() -> None:
    answer = probe(Check(kind="promql", promql="up"), None)
    assert (answer.status, "No Prometheus" in answer.sentence) == ("unknown", True)
