"""Counters of several containers in one folder: no process writes another's file."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from portal import multiprocess_metrics
from portal.core.embedded.places import BASE_DIR

# The first process of a container, with the number that its counterpart in the other has as well.
FIRST_OF = """
import os, socket
os.getpid, socket.gethostname = lambda: 7, lambda: {host!r}
import portal
from prometheus_client import Counter, Gauge
Counter("counted", "…").inc()
Gauge("living", "…", multiprocess_mode="livesum").set(1)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for host in ("web", "the_worker"):
        subprocess.run(
            [sys.executable, "-c", FIRST_OF.format(host=host)], cwd=BASE_DIR, check=True,
            env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
        )  # fmt: skip
    return tmp_path


def test_processes_of_the_same_number_on_two_hosts_have_files_of_their_own(folder: Path) -> None:
    assert {path.name for path in folder.glob("counter*")} == {
        "counter_web-7.db",
        "counter_the-worker-7.db",
    }


def test_the_gauges_of_an_ended_process_are_forgotten_and_those_of_its_namesake_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(folder))
    monkeypatch.setattr(multiprocess_metrics, "HOST", "web")
    multiprocess_metrics.mark_process_dead(7)
    assert [path.name for path in folder.glob("gauge*")] == ["gauge_livesum_the-worker-7.db"]
    assert len(list(folder.glob("counter*"))) == 2
