"""Adapters for two public traces, kept beside the checkout: an sshd log and a web log.

`TEST_DATASETS` names their folder; the default is `../shared/datasets` of the checkout.
"""

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from portal.core.embedded.places import BASE_DIR
from security.rules import patterns
from security.rules.events import Event, Kind

_SSHD = re.compile(
    r"(?P<at>\w{3} +\d+ [\d:]{8}) \S+ sshd\[\d+\]: (?:message repeated (?P<times>\d+) times: \[ )?"
    r"(?P<verb>Failed password|Accepted \w+) for (?:(?P<unknown>invalid user) )?(?P<user>.*?) from (?P<ip>\S+) port"
)
_WEB = re.compile(
    r'(?P<ip>\S+) \S+ \S+ \[(?P<at>[^\]]+)\] "(?P<method>\S+) (?P<path>\S+)[^"]*" (?P<status>\d{3})'
)


def trace(name: str) -> Path:
    """Return the path of a trace; the test is skipped where it does not lie."""
    folder = Path(os.environ.get("TEST_DATASETS") or BASE_DIR.parent / "shared" / "datasets")
    if not (folder / name).is_file():
        pytest.skip(
            f"skipped: no {name} in {folder}; set TEST_DATASETS to the folder of the traces."
        )
    return folder / name


def sshd(path: Path) -> Iterator[Event]:
    """Yield each failed and successful sign-in; a repeated line counts as often as it says."""
    for number, line in enumerate(path.read_text(errors="replace").splitlines()):
        found = _SSHD.match(line)
        if found is None:
            continue
        at = datetime.strptime(f"2017 {found['at']}", "%Y %b %d %H:%M:%S").replace(tzinfo=UTC)
        kind = Kind.LOGIN_FAILED if found["verb"] == "Failed password" else Kind.LOGIN_SUCCEEDED
        account = f"{'name' if found['unknown'] else 'user'}:{found['user']}"
        for _ in range(int(found["times"] or 1)):
            yield Event(number, at.timestamp(), kind, found["ip"], account, found["user"])


def web(path: Path) -> Iterator[Event]:
    """Yield each refused request, and each that looks like an attack."""
    for number, line in enumerate(path.read_text(errors="replace").splitlines()):
        found = _WEB.match(line)
        if found is None:
            continue
        at = datetime.strptime(found["at"], "%d/%b/%Y:%H:%M:%S %z").timestamp()
        status, signal = int(found["status"]), patterns.signal(found["path"])
        kind = Kind.REFUSED if status >= 400 else Kind.SUSPICIOUS
        if status >= 400 or signal:
            path_only = found["path"].partition("?")[0]
            yield Event(number, at, kind, found["ip"], status=status, path=path_only, signal=signal)
