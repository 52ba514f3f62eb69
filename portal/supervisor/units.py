"""Runs one part through its states: waiting for its needs, starting, ready, backing off, stopped."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from portal.core.embedded import processes
from portal.core.embedded.processes import StartError
from portal.supervisor.console import Say, since

BACK_OFF_SECONDS = (1, 2, 5, 15, 60)
STEADY_SECONDS = 60  # a part that ran this long restarts without delay
READY_EVERY_SECONDS = 0.2


class Unit(Protocol):
    """A part as seen by the supervisor's loop."""

    @property
    def name(self) -> str: ...

    @property
    def available(self) -> bool:
        """True when parts that need this one may start."""
        ...

    @property
    def settled(self) -> bool:
        """True when there is nothing more to wait for: it is ready, or has reported why it is not."""
        ...

    def step(self, available: Collection[str]) -> None:
        """Do what is due now; called several times a second."""

    def stop(self, hurry: Callable[[], bool]) -> None:
        """Stop it and wait; the wait is cut short once `hurry` returns True."""


@dataclass(frozen=True)
class Part:
    """How to start one process, recognise that it is ready, and stop it."""

    name: str
    argv: Callable[[], Sequence[str | os.PathLike[str]]]
    log: Path
    ready: Callable[[], bool]
    environment: Callable[[], Mapping[str, str]]
    needs: Collection[str] = ()
    detail: str = ""
    once: bool = False  # finished when it exits with 0; not a long-running process
    optional: bool = False  # if it fails, the parts that need it start anyway
    on_progress: Callable[[], None] = lambda: None
    stop_seconds: float = 10
    start_seconds: float = 60


@dataclass
class Child:
    """A Part with its process."""

    part: Part
    say: Say
    keep_open: tuple[int, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    available: bool = False
    settled: bool = False
    given_up: bool = False
    failures: int = 0
    _started: float = 0.0
    _next_try: float = 0.0
    _next_look: float = 0.0
    _late: bool = field(default=False, repr=False)

    @property
    def name(self) -> str:
        return self.part.name

    def step(self, available: Collection[str]) -> None:
        if self.given_up or (self.part.once and self.available):
            return
        if self.process is not None:
            self._watch()
        elif set(self.part.needs) <= set(available) and time.monotonic() >= self._next_try:
            self._start()

    def _start(self) -> None:
        try:
            argv = self.part.argv()
        except StartError as error:
            self.given_up = self.settled = True
            self.say(self.name, str(error))
            return
        self._started, self._late = time.monotonic(), False
        try:
            self.process = processes.spawn(
                argv,
                log=self.part.log,
                environment=self.part.environment(),
                keep_open=self.keep_open,
            )
        except OSError as error:
            self._failed(f"cannot be run: {error}")

    def _watch(self) -> None:
        assert self.process is not None
        code = self.process.poll()
        self.part.on_progress()  # after the poll, so that its last lines are read as well
        if code is not None:
            self._ended(code)
        elif not self.available and not self.part.once and time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + READY_EVERY_SECONDS
            self._look()

    def _look(self) -> None:
        if self.part.ready():
            detail = f": {self.part.detail}" if self.part.detail else ""
            self.say(self.name, f"ready in {since(self._started)}{detail}")
            self.available = self.settled = True
        elif not self._late and time.monotonic() - self._started > self.part.start_seconds:
            self._late = self.settled = True
            self.say(
                self.name,
                f"not ready after {self.part.start_seconds:g} s; still waiting. See {self.part.log}.",
            )

    def _ended(self, code: int) -> None:
        self._end_group()
        self.process = None
        if self.part.once and code == 0:
            self.available = self.settled = True
            return
        if self.part.optional:
            self.available = self.settled = self.given_up = True
            self.say(self.name, processes.tail(self.part.log, 1))
            return
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        if self.available and time.monotonic() - self._started > STEADY_SECONDS:
            self.failures = 0
        # Print its output only for the first failure; the log has it for each.
        said = f" ({processes.tail(self.part.log)})" if not self.failures else ""
        self._failed(f"ended {how}{said}")

    def _failed(self, why: str) -> None:
        wait = BACK_OFF_SECONDS[min(self.failures, len(BACK_OFF_SECONDS) - 1)]
        self.failures += 1
        self.available, self.settled = False, True
        self._next_try = time.monotonic() + wait
        again = f" It has ended {self.failures} times in a row." if self.failures > 2 else ""
        self.say(self.name, f"{why}.{again} Restarting it in {wait} s. See {self.part.log}.")

    def stop(self, hurry: Callable[[], bool]) -> None:
        self.given_up = True
        if self.process is None:
            return
        started = time.monotonic()
        self.process.terminate()
        went = _wait(self.process, self.part.stop_seconds, hurry)
        self._end_group()
        self.process.wait(5)
        self.process = None
        if not self.part.once:
            self.say(
                self.name,
                f"stopped in {since(started)}" if went else f"killed after {since(started)}",
            )

    def _end_group(self) -> None:
        """Kill the processes that the part has left behind in its session."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)


def _wait(process: subprocess.Popen[bytes], seconds: float, hurry: Callable[[], bool]) -> bool:
    """Wait for `process` to end; False when the time is over or the operator wants to hurry."""
    deadline = time.monotonic() + seconds
    while process.poll() is None:
        if hurry() or time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
