"""Determines once per request who is calling, for the audit trail, the logs and the rate limits."""

import re
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from portal.core import sanitize

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
_TRACEPARENT = re.compile(r"^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$")


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, as text that outlives the account: `type` is user, token, service, system or anonymous."""

    type: str = "system"
    id: str = ""
    name: str = "system"
    roles: tuple[str, ...] = ()


SYSTEM = Actor()
ANONYMOUS = Actor("anonymous", "", "anonymous")
NOBODY = Actor("", "", "")


@dataclass(frozen=True, slots=True)
class Context:
    """The facts about the current request; empty outside of one."""

    request_id: str = ""
    client_request_id: str = ""
    trace_id: str = ""
    source_ip: str | None = None
    source_port: int | None = None
    source_ip_chain: str = ""
    user_agent: str = ""
    http_method: str = ""
    url_path: str = ""
    actor: Actor = field(default=SYSTEM)
    impersonator: Actor = field(default=NOBODY)
    auth_method: str = ""
    auth_factors: tuple[str, ...] = ()
    session_fp: str = ""
    token_fp: str = ""


_current: ContextVar[Context] = ContextVar("portal_request_context", default=Context())  # noqa: B039 - frozen


_tracer: Callable[[], str] = str


def use_tracer(active_trace_id: Callable[[], str]) -> None:
    """Set the function that returns the id of the active trace; without one, no trace is active."""
    global _tracer
    _tracer = active_trace_id


def trace_id() -> str:
    """Return the id of the current trace: the tracer's, else the one given by the caller."""
    return _tracer() or current().trace_id


def current() -> Context:
    return _current.get()


def update(**facts: Any) -> None:
    """Add facts learned later in the request, such as the owner of a token."""
    _current.set(replace(_current.get(), **facts))


@contextmanager
def use(context: Context) -> Iterator[None]:
    token = _current.set(context)
    try:
        yield
    finally:
        _current.reset(token)


def _address(word: str) -> Address | None:
    """Return the address of one hop without brackets and port; None when it is not an address.

    A zone ("fe80::1%eth0") is dropped: it has a meaning on one machine only, and the columns cannot store it.
    """
    word = word.strip().partition("%")[0]
    if word.startswith("["):
        word = word[1:].partition("]")[0]
    elif word.count(":") == 1:
        word = word.partition(":")[0]
    try:
        address = ip_address(word)
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address


def client_address(remote: str, forwarded: str, trusted: Iterable[Network]) -> Address | None:
    """Return the client's address: follow X-Forwarded-For from the right, through trusted proxies.

    An empty `remote` is a Unix socket, whose peer is the proxy on this machine. The first hop that is
    not an address stops the search at the last valid one: everything to its left may be forged.
    """
    networks = tuple(trusted)
    address = _address(remote) if remote else None
    if remote and address is None:
        return None
    if not networks:
        return address
    for word in reversed(forwarded.split(",")):
        if address is not None and not any(address in network for network in networks):
            break
        hop = _address(word)
        if hop is None:
            break
        address = hop
    return address


def from_request(request: HttpRequest) -> Context:
    """Return the context of `request`; must not fail for any header."""
    meta = request.META
    forwarded = str(meta.get("HTTP_X_FORWARDED_FOR", ""))
    address = client_address(str(meta.get("REMOTE_ADDR", "")), forwarded, settings.TRUSTED_PROXIES)
    port = str(meta.get("REMOTE_PORT", ""))
    trace = _TRACEPARENT.match(str(meta.get("HTTP_TRACEPARENT", "")))
    return Context(
        request_id=uuid.uuid4().hex,
        client_request_id=sanitize.line(meta.get("HTTP_X_REQUEST_ID", ""), 64),
        trace_id=_tracer() or (trace[1] if trace else ""),
        source_ip=str(address) if address else None,
        source_port=int(port)
        if port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536
        else None,
        source_ip_chain=sanitize.line(forwarded, 512),
        user_agent=sanitize.line(meta.get("HTTP_USER_AGENT", ""), 512),
        http_method=sanitize.line(request.method or "", 16),
        url_path=sanitize.line(sanitize.without_secrets(request.path), 1024),
        actor=ANONYMOUS,
    )


class RequestContextMiddleware:
    """Sets the context for the duration of a request, and returns its id as `X-Request-Id`."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        context = from_request(request)
        with use(context):
            response = self.get_response(request)
        response["X-Request-Id"] = context.request_id
        return response
