"""The programs that carry the portal write nothing but log lines, from their start on."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.db import connection

from portal.core.embedded.places import BASE_DIR
from tests.stack import until

pytestmark = pytest.mark.django_db(transaction=True)
CELERY = ["celery", "--quiet", "-A", "portal.celery"]
PROGRAMS = {
    "web": ["gunicorn", "-c", "python:portal.gunicorn_conf", "portal.wsgi"],
    "worker": [*CELERY, "worker", "--concurrency", "1", "--without-gossip", "--without-mingle"],
    "beat": [*CELERY, "beat", "--pidfile", ""],
}


def children(pid: int) -> list[int]:
    return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks for children in /proc")
@pytest.mark.parametrize("name", PROGRAMS)
def test_every_line_is_json_also_when_a_child_is_killed(name: str, tmp_path: Path) -> None:
    database = urlsplit(os.environ["DATABASE_URL"])._replace(
        path=f"/{connection.settings_dict['NAME']}"
    )
    words = [*PROGRAMS[name], *(["--schedule", str(tmp_path / "schedule")] if name == "beat" else [])]  # fmt: skip
    written, ready = tmp_path / "log", tmp_path / "ready"
    with written.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", *words], cwd=BASE_DIR, stdout=out, stderr=out,
            env={**os.environ, "DATABASE_URL": database.geturl(), "PORTAL_READY_FILE": str(ready),
                 "PORTAL_BIND": "127.0.0.1:0", "WEB_CONCURRENCY": "1", "LOG_JSON": "true",
                 "PYTHONWARNINGS": "ignore::UserWarning"},  # Celery's, to root
        )  # fmt: skip
    try:
        begun = children if name == "web" else (lambda _pid: ready.exists())
        until(lambda: begun(process.pid), "it has not begun", seconds=90)
        if name != "beat":
            os.kill(children(process.pid)[-1], signal.SIGKILL)
            until(lambda: b"SIGKILL" in written.read_bytes(), "it does not tell of the child")
        lines = [json.loads(line) for line in written.read_text().splitlines()]
    finally:
        process.terminate()
        try:
            process.wait(30)
        finally:
            process.kill()
    assert all(line["log.level"] and line["@timestamp"] for line in lines)
