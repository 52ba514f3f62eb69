"""Defines the portal's own processes: database preparation, web server, worker and beat."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from portal import env
from portal.core.embedded.places import BASE_DIR
from portal.supervisor.console import Say
from portal.supervisor.stack import answers
from portal.supervisor.units import Part

DATABASE = ("PostgreSQL",)
BOTH = ("PostgreSQL", "Redis", "Preparation")
# A slow Alertmanager can block one worker process for up to a minute; the others continue meanwhile.
WORKER_PROCESSES = 4


@dataclass
class Progress:
    """Follows the lines that `manage.py prepare` writes to a file, and prints them."""

    path: Path
    say: Say
    link: str = ""
    _told: int = field(default=0, repr=False)

    def begin(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.touch(mode=0o600)
        self.path.write_text("")
        self._told = 0

    def follow(self) -> None:
        *lines, _unfinished = self.path.read_text().split("\n")
        for line in lines[self._told :]:
            told = json.loads(line)
            self.link = told.get("link", self.link)
            if told.get("sentence"):
                self.say(told["part"], told["sentence"])
        self._told = len(lines)
        if self.link:
            self.begin()  # the link is a secret, so the file is emptied at once


def preparation(
    var: Path,
    progress: Progress,
    environment: Callable[[], Mapping[str, str]],
    *,
    name: str = "Preparation",
    needs: tuple[str, ...] = DATABASE,
    only: str = "",
) -> Part:
    """Return the part that brings the database up to date (with `only`, one step of that)."""

    def argv() -> list[str]:
        progress.begin()
        command = [sys.executable, "manage.py", "prepare", "--progress", str(progress.path)]
        return [*command, "--only", only] if only else command

    return Part(
        name=name, argv=argv, log=var / "log" / "prepare.log", ready=lambda: False, environment=environment,
        needs=needs, once=True, on_progress=progress.follow, start_seconds=300,
    )  # fmt: skip


def processes(
    var: Path, host: str, port: int, url: str, environment: Callable[[], Mapping[str, str]]
) -> list[Part]:
    """Return web server, worker and beat, in start order."""
    probe_host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    return [
        Part(
            name="Web",
            argv=lambda: [sys.executable, "-m", "gunicorn", "-c", "python:portal.gunicorn_conf", "portal.wsgi"],
            log=var / "log" / "web.log", ready=answers(port, "/healthz", probe_host),
            # gunicorn reads this variable before our configuration, and exits if it is not a number.
            environment=lambda: {**environment(), "WEB_CONCURRENCY": str(env.web_processes())},
            needs=BOTH, detail=url, stop_seconds=15,
        ),
        _celery(var, "Worker", ["worker", "--concurrency", str(WORKER_PROCESSES), "--without-gossip",
                                "--without-mingle"], environment, stop_seconds=30),
        _celery(var, "Beat", ["beat", "--schedule", str(var / "beat" / "schedule"), "--pidfile", ""],
                environment, stop_seconds=10),
    ]  # fmt: skip


def _celery(
    var: Path,
    name: str,
    words: list[str],
    environment: Callable[[], Mapping[str, str]],
    *,
    stop_seconds: float,
) -> Part:
    """Return a Celery process; it touches its ready file when it has started to work."""
    ready_file = var / "run" / f"{name.lower()}.ready"

    def argv() -> list[str]:
        ready_file.unlink(missing_ok=True)
        (var / "beat").mkdir(exist_ok=True)
        return [sys.executable, "-m", "celery", "--quiet", "-A", "portal.celery", *words]

    return Part(
        name=name, argv=argv, log=var / "log" / f"{name.lower()}.log", ready=ready_file.exists,
        environment=lambda: {**environment(), "PORTAL_READY_FILE": str(ready_file)},
        needs=BOTH, stop_seconds=stop_seconds,
    )  # fmt: skip


def base_environment(var: Path, listener: int) -> dict[str, str]:
    """Return the variables that every Python part gets in addition to the environment of `up`."""
    path = os.pathsep.join(filter(None, [str(BASE_DIR), os.environ.get("PYTHONPATH", "")]))
    return {
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "PYTHONPATH": path,
        "PYTHONUNBUFFERED": "1",
        "PORTAL_VAR": str(var),
        "PORTAL_BIND": f"fd://{listener}",
        "PORTAL_SUPERVISED": "1",
        "PROMETHEUS_MULTIPROC_DIR": str(var / "metrics"),
    }
