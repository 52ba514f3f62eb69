"""Bounds for libraries that open their own connections: a total deadline, and the address rule.

Python tells audit hooks of every socket that is about to connect (PEP 578), whichever library asks.
Inside `guarded()`, connections of this thread are checked against the forbidden networks by the
address really used, and shut when the time is over. What a library does in threads or processes of
its own is out of reach.
"""

import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from portal.core.sockets import ForbiddenAddressError, is_forbidden


class Guard:
    """The connections of one delivery, and how it was ended, if by us."""

    def __init__(self, seconds: float) -> None:
        self.ends_at = time.monotonic() + seconds
        self.expired = False
        self.refused = ""
        self._lock = threading.Lock()
        self._duplicates: list[socket.socket] = []

    def admit(self, sock: socket.socket, address: Any) -> None:
        """Let a socket connect, or raise ForbiddenAddressError or TimeoutError."""
        if sock.family not in (socket.AF_INET, socket.AF_INET6):
            return
        if self.expired or time.monotonic() >= self.ends_at:
            raise TimeoutError("timed out")
        if is_forbidden(str(address[0])):
            self.refused = str(address[0])
            raise ForbiddenAddressError(self.refused)
        with self._lock:
            # A duplicate reaches the connection whatever wraps it later, TLS included.
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


@cache
def _install() -> None:
    """Add the hook, once per process; it cannot be taken away, and costs nothing outside a guard."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.connect":
            guard: Guard | None = getattr(_current, "guard", None)
            if guard is not None:
                guard.admit(*arguments)

    sys.addaudithook(hook)


@contextmanager
def guarded(seconds: float) -> Iterator[Guard]:
    """Bound the connections this thread opens inside the block; read the guard for what was done."""
    _install()
    guard = _current.guard = Guard(seconds)
    timer = threading.Timer(seconds, guard.expire)
    timer.daemon = True
    timer.start()
    try:
        yield guard
    finally:
        timer.cancel()
        _current.guard = None
        guard.close()
