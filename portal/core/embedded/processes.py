"""Starts, watches and ends the server processes that belong to this checkout."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from portal.core.embedded.places import Account

PR_SET_PDEATHSIG = 1


class StartError(Exception):
    """A process did not start; the message says why and what to do."""


def _signal_at_parents_death(number: int) -> Callable[[], None] | None:
    """Return a hook that makes the kernel signal the child when its parent dies (Linux only)."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def hook() -> None:
        libc.prctl(PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:  # the parent died before prctl took effect
            os.kill(os.getpid(), number)

    return hook


def die_with_parent(number: int = signal.SIGTERM) -> None:
    """Make the kernel send us `number` when the process that started us dies (Linux only)."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, number)


def spawn(
    argv: Sequence[str | os.PathLike[str]],
    *,
    log: Path,
    account: Account | None = None,
    environment: Mapping[str, str] | None = None,
    at_parents_death: int = signal.SIGTERM,
    owned: bool = True,
    keep_open: Collection[int] = (),
) -> subprocess.Popen[bytes]:
    """Start `argv` in its own session, with its output appended to `log`.

    `owned` children receive the signal `at_parents_death` when the calling thread ends, even by kill -9:
    call it from the main thread. The separate session keeps the terminal's Ctrl-C from reaching the
    children before the supervisor stops them in order. The descriptors in `keep_open` are inherited.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            [os.fspath(word) for word in argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd="/" if account else None,
            env=dict(environment) if environment is not None else None,
            preexec_fn=_signal_at_parents_death(at_parents_death) if owned else None,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            pass_fds=tuple(keep_open),
        )


def wait_until(
    ready: Callable[[], bool], *, seconds: float, process: subprocess.Popen[Any] | None = None
) -> bool:
    """Poll `ready` every 50 ms; False if `seconds` pass or `process` ends first."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if ready():
            return True
        if process is not None and process.poll() is not None:
            return False
        time.sleep(0.05)
    return ready()


def is_running(pid: int) -> bool:
    """True when `pid` exists and is not a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return not Path("/proc/self").exists()


def end(pid: int, number: int, *, seconds: float) -> bool:
    """Signal `pid` and wait; kill it after `seconds`. True if it ended without being killed."""
    if not is_running(pid):
        return True
    os.kill(pid, number)
    if wait_until(lambda: not is_running(pid), seconds=seconds):
        return True
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_running(pid), seconds=5)
    return False


def tail(log: Path, lines: int = 3) -> str:
    """Return the last lines of `log` joined into one short string, for error messages."""
    try:
        content = log.read_text(errors="replace").strip().splitlines()
    except OSError:
        return "no log was written"
    return " / ".join(line.strip() for line in content[-lines:]) or "its log is empty"
