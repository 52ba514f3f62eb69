"""Ensures one run per checkout, and that no process of an earlier run gets in the way of the next.

The supervisor holds `up.lock` exclusively; the file says which run holds it. Every process that a run
starts inherits the descriptor of `up.children`, and so a shared lock on it. A run that can take that
lock exclusively knows that no process of an earlier run is left, however that run ended.
"""

import fcntl
import json
import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from portal.core.embedded.processes import StartError
from portal.supervisor import console

STOP_SECONDS = 60
ORPHAN_SECONDS = 25


class Guard:
    def __init__(self, var: Path) -> None:
        self.var = var
        self._up: IO[str] | None = None
        self._children: IO[str] | None = None

    @property
    def inherited(self) -> int:
        """The descriptor that every child keeps open."""
        assert self._children is not None
        return self._children.fileno()

    def enter(self) -> None:
        """Become the only run of this checkout. Raises StartError when another one is alive."""
        self.var.mkdir(parents=True, exist_ok=True)
        self._up = (self.var / "up.lock").open("a+")
        if not self._wait(self._take_up, STOP_SECONDS, "an earlier run is still stopping"):
            self._up.close()
            raise StartError(self._refusal())
        self.note("starting")
        self._children = (self.var / "up.children").open("a+")
        waited = "processes of an earlier run are still stopping"
        if not self._wait(self._take_children, ORPHAN_SECONDS, waited):
            self._end_orphans()
        fcntl.flock(self._children, fcntl.LOCK_SH)

    def leave(self) -> list[int]:
        """End the run; return the pids that are still alive although they were stopped."""
        left = self.orphans()
        for file in (self._children, self._up):
            if file is not None:
                file.close()
        return left

    def note(self, state: str, url: str = "") -> None:
        """Record in the lock file what this run is doing, for a later run that finds it locked."""
        assert self._up is not None
        self._up.seek(0)
        self._up.truncate()
        self._up.write(json.dumps({"pid": os.getpid(), "state": state, "url": url}))
        self._up.flush()

    def _noted(self) -> dict[str, object]:
        with suppress(OSError, ValueError):
            found = json.loads((self.var / "up.lock").read_text())
            if isinstance(found, dict):
                return found
        return {}

    def _refusal(self) -> str:
        noted = self._noted()
        where = f" at {noted['url']}" if noted.get("url") else ""
        return (
            f"The portal of this checkout is already running{where} (pid {noted.get('pid', 'unknown')})."
            " Use that one, or stop it first: Ctrl-C in its terminal, or kill with that pid."
        )

    def _take_up(self) -> bool | None:
        assert self._up is not None
        if _flock(self._up):
            return True
        return False if self._noted().get("state") == "stopping" else None

    def _take_children(self) -> bool:
        assert self._children is not None
        return _flock(self._children)

    @staticmethod
    def _wait(take: object, seconds: float, why: str) -> bool:
        """Poll `take` until it returns True (lock taken) or None (cannot be taken), for at most `seconds`."""
        assert callable(take)
        deadline, told = time.monotonic() + seconds, False
        while not (answer := take()):
            if answer is None or time.monotonic() > deadline:
                return False
            if not told:
                console.say("Waiting", f"{why}.")
                told = True
            time.sleep(0.1)
        return True

    def orphans(self) -> list[int]:
        """Return the pids, other than ours, that hold the children's lock (Linux only)."""
        wanted = str(self.var / "up.children")
        return [pid for pid in _pids() if pid != os.getpid() and _has_open(pid, wanted)]

    def _end_orphans(self) -> None:
        for pid in self.orphans():
            console.say("Waiting", f"ending process {pid}, left over from an earlier run.")
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if not self._wait(self._take_children, 5, "the last of them"):
            raise StartError(
                "Processes of an earlier run are still running:"
                f" {', '.join(map(str, self.orphans())) or 'not visible to this account'}."
                " End them by hand (kill -9), then start again."
            )


def _flock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]


def _has_open(pid: int, path: str) -> bool:
    with suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                if os.readlink(descriptor) == path:
                    return True
    return False
