"""Enforces a total deadline and the address rule at the socket, where alone they can be guaranteed."""

import contextlib
import ipaddress
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

# Cloud metadata services hand out credentials, and nothing that is monitored has these addresses. The
# single addresses are those of Alibaba, Azure and Oracle.
FORBIDDEN_NETWORKS = tuple(
    ipaddress.ip_network(n)
    for n in (
        "169.254.0.0/16", "fe80::/10", "fd00:ec2::/32",
        "100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32",
    )
)  # fmt: skip
NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052

FORBIDDEN_NAMES = frozenset({"metadata", "metadata.google.internal", "instance-data"})


class ForbiddenAddressError(Exception):
    """The peer is in a forbidden network."""


def is_forbidden(address: str) -> bool:
    """True for an IP address in a forbidden network, or a known name of one; resolves no names."""
    if address.rstrip(".").lower() in FORBIDDEN_NAMES:
        return True
    found = _read(address.strip("[]").partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        found = _carried(found) or found
    return found is not None and any(found in network for network in FORBIDDEN_NETWORKS)


def _carried(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address embedded in an IPv6 one: mapped, 6to4 or NAT64."""
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def _read(written: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Parse an address in any notation that resolvers accept: 169.254.1.1, 2851995905, 0xa9.0xfe.1.1."""
    try:
        return ipaddress.ip_address(written)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(written))
    except (OSError, ValueError):
        return None


class Watch:
    """Holds duplicates of the sockets in use, which reach the connection whatever wraps it, including TLS."""

    def __init__(self) -> None:
        self.expired = False
        self._lock = threading.Lock()
        self._duplicates: list[socket.socket] = []

    def add(self, sock: socket.socket) -> None:
        with self._lock:
            self._duplicates.append(socket.socket(fileno=os.dup(sock.fileno())))

    def expire(self) -> None:
        with self._lock:
            self.expired = True
            for sock in self._duplicates:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with self._lock:
            for sock in self._duplicates:
                sock.close()
            self._duplicates.clear()


_current = threading.local()


def _watch(sock: socket.socket) -> None:
    watch: Watch | None = getattr(_current, "watch", None)
    if watch is not None:
        watch.add(sock)


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Shut the sockets used inside the block after `seconds`, and raise TimeoutError.

    A read timeout bounds only the wait for the next byte: a server that sends bytes slowly, in the TLS
    handshake, the headers or the body, could block a worker for hours. A reply that our own shutdown
    cuts off can look complete to the parser, hence the check at the end.
    """
    watch = _current.watch = Watch()
    timer = threading.Timer(seconds, watch.expire)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        _current.watch = None
        watch.close()
    if watch.expired:
        raise TimeoutError("timed out")


@cache
def _install() -> None:
    """Add the audit hook (PEP 578), once per process; it cannot be removed."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.connect" and getattr(_current, "refusing", False):
            sock, address = arguments
            if sock.family in (socket.AF_INET, socket.AF_INET6) and is_forbidden(str(address[0])):
                sock.close()
                raise ForbiddenAddressError(str(address[0]))

    sys.addaudithook(hook)


@contextmanager
def _refusing() -> Iterator[None]:
    """Reject a forbidden address before a packet is sent: where no such service exists, connecting would
    only time out, and a check would report its target as down."""
    _install()
    _current.refusing = True
    try:
        yield
    finally:
        _current.refusing = False


def _refuse_forbidden_peer(sock: Any) -> None:
    """Check the address of the established connection, which DNS can no longer change."""
    peer = sock.getpeername()[0]
    if is_forbidden(peer):
        sock.close()
        raise ForbiddenAddressError(peer)


def _checked(sock: socket.socket) -> socket.socket:
    """Check the peer of a new connection and watch it, before any byte is sent."""
    _refuse_forbidden_peer(sock)
    _watch(sock)
    return sock


def connect(host: str, port: int, *, timeout_seconds: float) -> socket.socket:
    """Open a TCP connection, subject to the address rule. Raises OSError, ForbiddenAddressError."""
    with _refusing():
        return _checked(socket.create_connection((host, port), timeout=timeout_seconds))


class _GuardedHTTPConnection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        with _refusing():
            return _checked(super()._new_conn())

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is not None:  # a connection that is used again
            _watch(self.sock)
        super().request(*args, **kwargs)


class _GuardedHTTPSConnection(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        with _refusing():
            return _checked(super()._new_conn())

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is not None:  # a connection that is used again
            _watch(self.sock)
        super().request(*args, **kwargs)


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _GuardedHTTPConnection


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _GuardedHTTPSConnection


class GuardedAdapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
