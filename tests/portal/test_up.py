"""`manage.py up`, for real: everything starts, is ready, stops in order, and survives kill -9."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from portal.core.embedded import processes
from portal.core.embedded.places import BASE_DIR
from tests.stack import program

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("up")]
START_SECONDS = 180  # a machine that runs other tests beside this one is several times slower
INHERITED_BUT_UNWANTED = (
    "DATABASE_URL",
    "REDIS_URL",
    "DJANGO_SETTINGS_MODULE",
    "PYTEST_XDIST_WORKER",
)


class Run:
    """One `up` in a folder of its own, with what it has printed."""

    def __init__(self, var: Path, **environment: str) -> None:
        clean = {k: v for k, v in os.environ.items() if k not in INHERITED_BUT_UNWANTED}
        self.var = var
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "up"], cwd=BASE_DIR, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
            env={**clean, "PORTAL_VAR": str(var), "PORT": "18000", **environment},
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def says(self, pattern: str, seconds: float = START_SECONDS) -> re.Match[str]:
        """Wait until a line matches."""
        processes.wait_until(
            lambda: bool(re.search(pattern, self.text)), seconds=seconds, process=self.process
        )
        found = re.search(pattern, self.text)
        assert found, f"{pattern!r} was not said in:\n{self.text}"
        return found

    def url(self) -> str:
        return self.says(r"The portal: (http://\S+)/admin/")[1]

    def get(self, path: str) -> tuple[int, bytes]:
        request = urllib.request.Request(self.url() + path)
        try:
            with urllib.request.urlopen(request, timeout=10) as reply:
                return reply.status, reply.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def post(self, path: str, body: Any, token: str) -> int:
        request = urllib.request.Request(self.url() + path, data=body)
        request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                return int(reply.status)
        except urllib.error.HTTPError as error:
            return error.code

    def is_ready(self) -> bool:
        return self.get("/readyz")[0] == 200

    def left(self) -> list[int]:
        """Return the processes that still belong to this run: those that name its folder or hold it open."""
        return [pid for pid in _pids() if _belongs(pid, str(self.var))]

    def stop(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        code = self.process.wait(60)
        self._reader.join(5)
        return code


def _pids() -> list[int]:
    return [
        int(entry.name) for entry in Path("/proc").glob("[0-9]*") if int(entry.name) != os.getpid()
    ]


def _belongs(pid: int, folder: str) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        words = (
            Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
        )
    except OSError:
        return False
    return state != "Z" and f"{folder}/".encode() in words.replace(b"\0", b"/\0")


@pytest.fixture
def var() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="portal-up-") as name:
        Path(name).chmod(0o755)
        yield Path(name) / "var"


@pytest.fixture
def runs(var: Path) -> Iterator[list[Run]]:
    started: list[Run] = []
    yield started
    for run in started:
        if run.process.poll() is None:
            run.process.kill()
            run.process.wait(10)
        processes.wait_until(lambda run=run: not run.left(), seconds=30)  # type: ignore[misc]
        assert run.process.stdout is not None
        run._reader.join(5)
        run.process.stdout.close()


def note(var: Path, text: str) -> str:
    """Run a line of Python in the portal's shell, as somebody in another terminal would."""
    clean = {k: v for k, v in os.environ.items() if k not in INHERITED_BUT_UNWANTED}
    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "--no-imports", "-c", text], cwd=BASE_DIR, text=True,
        capture_output=True, env={**clean, "PORTAL_VAR": str(var)}, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_it_starts_serves_stops_in_order_and_starts_again(var: Path, runs: list[Run]) -> None:
    first = Run(var)
    runs.append(first)
    assert first.get("/healthz") == (200, b"ok\n")
    assert first.get(f"/healthz?query={'x' * 8000}")[0] == 200  # PromQL may be long
    assert first.get(f"/healthz?query={'x' * 8200}")[0] == 414
    link = first.says(r"  http://\S+(/admin/enrol/link/dop_enrol_\w+/)")[1]
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    assert b"Choose a password" in browser.open(first.url() + link, timeout=30).read()
    assert "dop_enrol_" not in "".join(file.read_text() for file in (var / "run").glob("*.jsonl"))
    assert processes.wait_until(first.is_ready, seconds=START_SECONDS), first.get("/readyz")
    name = (
        "from portal.core.models import Service; Service.objects.create(slug='kept', name='Kept')"
    )
    note(var, name)
    token, hook = (
        (var / "secrets" / "alertmanager_webhook").read_text(),
        "/api/v1/hooks/alertmanager/none/",
    )
    note(
        var,
        "from portal.core.models import Upstream;"
        "Upstream.objects.create(name='none', kind='alertmanager', url='http://127.0.0.1:1', enabled=False)",
    )
    assert first.post(hook, b" " * 50_000_000, token) == 413  # answered, not reset
    assert (
        first.post(hook, iter([b'{"alerts"', b": []}"]), token) == 202
    )  # in chunks, without a length
    assert first.post(hook, (b" " * 1_000_000 for _ in range(50)), token) == 413
    assert f"already running at {first.url()} (pid {first.process.pid})" in refusal(var)
    assert first.stop() == 0
    stopped = re.findall(r"^  (\S+) +stopped", first.text, re.M)
    assert [name for name in stopped if name in ("Beat", "Worker", "Web", "Redis", "PostgreSQL")] == [
        "Beat", "Worker", "Web", "Redis", "PostgreSQL"
    ]  # fmt: skip
    assert first.text.endswith("All stopped.")
    assert first.left() == []

    second = Run(var)
    runs.append(second)
    second.url()
    assert "Migrations      none pending" in second.text
    kept = note(
        var, "from portal.core.models import Service; print(Service.objects.get(slug='kept'))"
    )
    assert kept == "Kept"
    second.process.kill()  # as hard as it gets: nothing may stand in the way of the next start
    second.process.wait(10)
    third = Run(var)
    runs.append(third)
    assert processes.wait_until(third.is_ready, seconds=START_SECONDS), third.text
    third.process.terminate()  # `make` and `timeout` pass on the same signal: that is no impatience
    assert third.stop(signal.SIGTERM) == 0
    assert not re.findall(r"^  (\S+) +killed", third.text, re.M)
    assert third.left() == []


def test_a_command_without_a_run_starts_the_servers_for_its_own_time(var: Path) -> None:
    assert (
        note(var, "from django.db import connection; connection.cursor(); print('there')")
        == "there"
    )
    assert processes.wait_until(
        lambda: not [pid for pid in _pids() if _belongs(pid, str(var))], seconds=20
    )


def refusal(var: Path) -> str:
    """Return what a second `up` beside a living one says."""
    other = Run(var)
    assert other.process.wait(30) == 1
    other._reader.join(5)
    assert other.process.stdout is not None
    other.process.stdout.close()
    return other.text


@pytest.mark.stack
def test_prometheus_scrapes_the_portal_and_a_dead_part_comes_back(
    var: Path, runs: list[Run]
) -> None:
    found = [program(name) for name in ("prometheus", "alertmanager", "node_exporter")]
    folders = os.pathsep.join(str(Path(path).parent) for path in found)
    run = Run(var, PATH=f"{folders}{os.pathsep}{os.environ['PATH']}")
    runs.append(run)
    address = run.says(r"Prometheus +ready in .*: (http://\S+)")[1]

    def healthy() -> dict[str, str]:
        with urllib.request.urlopen(f"{address}/api/v1/targets", timeout=10) as reply:
            targets: list[dict[str, Any]] = json.load(reply)["data"]["activeTargets"]
        return {target["labels"]["job"]: target["health"] for target in targets}

    expected = dict.fromkeys(("portal", "prometheus", "alertmanager", "node"), "up")
    assert processes.wait_until(lambda: healthy() == expected, seconds=START_SECONDS), healthy()
    beat = next(
        pid
        for pid in run.left()
        if b"beat" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    )
    os.kill(beat, signal.SIGKILL)
    run.says(r"Beat +ended by signal 9.* Restarting it in 1 s")
    assert processes.wait_until(lambda: len(re.findall(r"Beat +ready", run.text)) == 2, seconds=30)
    assert run.stop() == 0
    assert run.left() == []
