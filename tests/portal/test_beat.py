"""Beat's sign of life, left by real processes."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from portal import beat
from portal.core.embedded.places import BASE_DIR
from tests.stack import until


class Beats:
    """Real beats, ended by their own process ids."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.running = folder, list[subprocess.Popen[bytes]]()

    def start(self) -> subprocess.Popen[bytes]:
        schedule = self.folder / f"schedule-{len(self.running)}"
        argv = [sys.executable, "-m", "celery", "-A", "portal.celery", "beat", "--pidfile="]
        started = subprocess.Popen(
            [*argv, "--schedule", str(schedule)],
            cwd=BASE_DIR,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.running.append(started)
        return started


@pytest.fixture
def beats(tmp_path: Path) -> Iterator[Beats]:
    found = Beats(tmp_path)
    yield found
    for process in found.running:
        process.terminate()
        process.wait(timeout=20)


def pids() -> set[int]:
    return {int(name.rpartition(":")[2]) for name in beat.live_beats()}


def test_two_real_beats_are_seen_and_one_that_ends_is_gone_at_once(beats: Beats) -> None:
    first, second = beats.start(), beats.start()
    until(lambda: pids() == {first.pid, second.pid}, "the two beats were not seen")
    first.terminate()
    first.wait(timeout=20)
    assert pids() == {second.pid}


def test_a_sign_is_forgotten_when_it_is_not_repeated() -> None:
    beat.record_heartbeat(now=1_000_000)
    assert len(beat.live_beats(now=1_000_010)) == 1
    assert beat.live_beats(now=1_000_020) == []
