"""Limits libraries that open their own connections: a total deadline, and the address rule.

Python calls audit hooks (PEP 578) before any socket connects, whichever library opens it. Inside
`guarded()`, each connection of this thread is checked against the forbidden networks by its actual
address, and shut down at the deadline. Threads and processes that a library starts are not covered.
"""

import heapq
import itertools
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from portal.core.sockets import ForbiddenAddressError, Watch, is_forbidden


class Guard(Watch):
    """The connections of one delivery, and whether we refused or timed out any of them."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.ends_at = time.monotonic() + seconds
        self.closed = False
        self.refused = ""

    def admit(self, sock: socket.socket, address: Any) -> None:
        """Allow a socket to connect. Raises ForbiddenAddressError or TimeoutError."""
        if sock.family not in (socket.AF_INET, socket.AF_INET6):
            return
        if self.expired or time.monotonic() >= self.ends_at:
            raise TimeoutError("timed out")
        if is_forbidden(str(address[0])):
            self.refused = str(address[0])
            raise ForbiddenAddressError(self.refused)
        self.add(sock)

    def close(self) -> None:
        self.closed = True
        super().close()


class _Deadlines:
    """One thread per process that expires guards: a timer for each would cost as much as the sending."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: list[tuple[float, int, Guard]] = []
        self._numbers = itertools.count()  # tie-break in the heap: guards are not comparable
        self._thread: threading.Thread | None = None

    def over(self, guard: Guard) -> None:
        """Expire `guard` at its deadline, unless it is closed by then."""
        with self._changed:
            heapq.heappush(self._waiting, (guard.ends_at, next(self._numbers), guard))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="deadlines", daemon=True)
                self._thread.start()
            elif self._waiting[0][2] is guard:
                self._changed.notify()

    def _run(self) -> None:
        while True:
            self._next().expire()

    def _next(self) -> Guard:
        """Wait for the next guard to reach its deadline."""
        with self._changed:
            while True:
                while self._waiting and self._waiting[0][2].closed:
                    heapq.heappop(self._waiting)
                left = self._waiting[0][0] - time.monotonic() if self._waiting else None
                if left is not None and left <= 0:
                    return heapq.heappop(self._waiting)[2]
                self._changed.wait(left)


_current = threading.local()
_deadlines = _Deadlines()


def _begin_anew() -> None:
    """Replace the deadlines after a fork: the child lacks the parent's thread, which may have held the lock."""
    global _deadlines
    _deadlines = _Deadlines()


os.register_at_fork(after_in_child=_begin_anew)


@cache
def _install() -> None:
    """Add the hook, once per process; it cannot be removed, and costs nothing outside a guard."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.connect":
            guard: Guard | None = getattr(_current, "guard", None)
            if guard is not None:
                guard.admit(*arguments)

    sys.addaudithook(hook)


@contextmanager
def guarded(seconds: float) -> Iterator[Guard]:
    """Limit the connections that this thread opens inside the block; the guard says what was refused or expired."""
    _install()
    guard = _current.guard = Guard(seconds)
    _deadlines.over(guard)
    try:
        yield guard
    finally:
        _current.guard = None
        guard.close()
