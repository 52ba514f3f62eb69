"""Two guarantees that only the socket can give: a total deadline, and the address rule."""

import ipaddress
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

# Cloud metadata services hand out credentials; nothing that is monitored lives there.
FORBIDDEN_NETWORKS = tuple(
    ipaddress.ip_network(n)
    for n in ("169.254.0.0/16", "fe80::/10", "fd00:ec2::/32", "100.100.100.200/32")
)


class ForbiddenAddressError(Exception):
    """The connected peer lies in a network that is never asked."""


_sockets = threading.local()


def _watch(sock: socket.socket | None) -> None:
    watched = getattr(_sockets, "watched", None)
    if watched is not None and sock is not None:
        watched.append(sock)


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Shut the sockets used inside the block after `seconds`.

    A read timeout bounds the wait for one byte; a server that drips bytes could hold a worker
    for hours. The base class's shutdown is called because TLS's own would race the reader.
    """
    watched: list[socket.socket] = []
    _sockets.watched = watched

    def expire() -> None:
        for sock in watched:
            try:
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
            except OSError:
                continue

    timer = threading.Timer(seconds, expire)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        _sockets.watched = None


def _refuse_forbidden_peer(sock: Any) -> None:
    """Check the address really connected to, which no DNS answer can change any more."""
    peer = sock.getpeername()[0]
    address = ipaddress.ip_address(peer.partition("%")[0])
    address = getattr(address, "ipv4_mapped", None) or address
    if any(address in network for network in FORBIDDEN_NETWORKS):
        sock.close()
        raise ForbiddenAddressError(peer)


class _GuardedHTTPConnection(HTTPConnection):
    def connect(self) -> None:
        super().connect()
        _refuse_forbidden_peer(self.sock)

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is None:
            self.connect()
        _watch(self.sock)
        super().request(*args, **kwargs)


class _GuardedHTTPSConnection(HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        _refuse_forbidden_peer(self.sock)

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is None:
            self.connect()
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
