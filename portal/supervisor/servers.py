"""Runs the PostgreSQL and Redis of this checkout as parts of the supervisor."""

import contextlib
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from portal.core.embedded.places import PlaceError
from portal.core.embedded.postgres import Postgres
from portal.core.embedded.processes import StartError
from portal.core.embedded.servers import EmbeddedServers
from portal.core.embedded.valkey import Valkey
from portal.supervisor.console import Say, since
from portal.supervisor.units import BACK_OFF_SECONDS

LOOK_EVERY_SECONDS = 2.0


@dataclass
class Server:
    """One embedded server; its start may block for a second, because all other parts wait for it anyway."""

    name: str
    server: Postgres | Valkey
    group: EmbeddedServers
    say: Say
    available: bool = False
    settled: bool = False
    failures: int = 0
    _next: float = 0.0

    def step(self, available: Collection[str]) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + LOOK_EVERY_SECONDS
        if self.available and self.server.is_alive():
            return
        if self.available:
            self.available = False
            self.say(self.name, f"ended; restarting it. See {self.server.log}.")
        self._start()

    def _start(self) -> None:
        started = time.monotonic()
        try:
            with self.group.locked():
                self.server.start(owned=True)
        except (StartError, PlaceError, OSError) as error:
            wait = BACK_OFF_SECONDS[min(self.failures, len(BACK_OFF_SECONDS) - 1)]
            self.failures, self._next = self.failures + 1, time.monotonic() + wait
            self.say(self.name, f"{error} Trying again in {wait} s.")
        else:
            joined = "" if self.server.process else ", already started by another command"
            self.failures, self.available = 0, True
            self.say(self.name, f"ready in {since(started)}{joined}")
        self.settled = True

    def stop(self, hurry: Callable[[], bool]) -> None:
        """Stop it, unless a command in another terminal still uses it; the last user to leave stops it."""
        if not self.available:
            return
        started = time.monotonic()
        if self.server.process is None and not self.group.alone():
            self.say(self.name, "left running for another command of this checkout")
            return
        with contextlib.suppress(OSError):
            self.server.stop()
        self.available = False
        self.say(self.name, f"stopped in {since(started)}")


@dataclass
class Given:
    """An external server, whose URL came from the environment."""

    name: str
    variable: str
    say: Say
    available: bool = False
    settled: bool = False

    def step(self, available: Collection[str]) -> None:
        if not self.available:
            self.say(self.name, f"used from {self.variable}")
            self.available = self.settled = True

    def stop(self, hurry: Callable[[], bool]) -> None:
        """Do nothing: the server is not ours to stop."""
