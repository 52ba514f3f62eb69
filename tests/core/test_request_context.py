"""Who is asking: the client's address cannot be forged, and no header makes the context fail."""

from ipaddress import ip_network

import pytest
from django.test import RequestFactory
from hypothesis import given
from hypothesis import strategies as st

from portal.core import request_context
from portal.core.request_context import client_address

PROXIES = (ip_network("10.0.0.0/8"), ip_network("::1/128"))


@pytest.mark.parametrize(
    "remote, forwarded, expected",
    [
        pytest.param("203.0.113.9", "", "203.0.113.9", id="no-proxy"),
        pytest.param("203.0.113.9", "1.2.3.4", "203.0.113.9", id="untrusted-peer-forges"),
        pytest.param("10.0.0.1", "203.0.113.9", "203.0.113.9", id="one-proxy"),
        pytest.param("10.0.0.1", "1.2.3.4, 203.0.113.9", "203.0.113.9", id="client-forges-left"),
        pytest.param("10.0.0.1", "203.0.113.9, 10.0.0.2", "203.0.113.9", id="two-proxies"),
        pytest.param("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3", id="internal-client"),
        pytest.param("10.0.0.1", "", "10.0.0.1", id="proxy-itself"),
        pytest.param("10.0.0.1", "unknown", "10.0.0.1", id="not-an-address"),
        pytest.param("10.0.0.1", "203.0.113.9, junk", "10.0.0.1", id="junk-ends-the-walk"),
        pytest.param("10.0.0.1", "203.0.113.9:55555", "203.0.113.9", id="with-port"),
        pytest.param("10.0.0.1", "[2001:db8::7]:443", "2001:db8::7", id="ipv6-with-port"),
        pytest.param("::ffff:10.0.0.1", "203.0.113.9", "203.0.113.9", id="mapped-proxy"),
        pytest.param("10.0.0.1", "::ffff:203.0.113.9", "203.0.113.9", id="mapped-client"),
        pytest.param("", "203.0.113.9", "203.0.113.9", id="unix-socket"),
        pytest.param("", "", None, id="unix-socket-without-header"),
        pytest.param("nonsense", "203.0.113.9", None, id="peer-is-no-address"),
        pytest.param("10.0.0.1", "," * 5000, "10.0.0.1", id="thousands-of-commas"),
        pytest.param("10.0.0.1", "1.2.3.4\n203.0.113.9", "10.0.0.1", id="line-break"),
        pytest.param("10.0.0.1", "fe80::1%eth0", "fe80::1", id="zone-of-one-machine"),
        pytest.param("fe80::7%eth0", "", "fe80::7", id="peer-with-a-zone"),
        pytest.param("10.0.0.1", "010.1.2.3", "10.0.0.1", id="octal"),
    ],
)
def test_client_address(remote: str, forwarded: str, expected: str | None) -> None:
    found = client_address(remote, forwarded, PROXIES)
    assert (str(found) if found else None) == expected


def test_without_trusted_proxies_the_header_is_ignored() -> None:
    assert str(client_address("10.0.0.1", "1.2.3.4", ())) == "10.0.0.1"


@given(remote=st.text(max_size=60), forwarded=st.text(max_size=300))
def test_no_header_makes_the_address_fail(remote: str, forwarded: str) -> None:
    client_address(remote, forwarded, PROXIES)


@given(
    header=st.text(max_size=700),
    port=st.text(max_size=30),
    trace=st.text(alphabet="0123456789abcdef-", max_size=60),
)
def test_no_header_makes_the_context_fail(header: str, port: str, trace: str) -> None:
    request = RequestFactory().get("/")
    names = ("HTTP_USER_AGENT", "HTTP_X_REQUEST_ID", "HTTP_X_FORWARDED_FOR")
    request.META.update(dict.fromkeys(names, header), REMOTE_PORT=port, HTTP_TRACEPARENT=trace)
    context = request_context.from_request(request)
    assert len(context.user_agent) <= 512
    assert "\x00" not in context.user_agent + context.client_request_id
    assert len(context.trace_id) in (0, 32)


def test_the_context_ends_with_its_block() -> None:
    before = request_context.current()
    with request_context.use(request_context.Context(request_id="1")):
        request_context.update(trace_id="a" * 32)
        assert request_context.current().trace_id == "a" * 32
    assert request_context.current() == before
