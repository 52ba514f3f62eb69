"""A real error receiver (Bugsink) in an environment of its own, kept under var/ between runs.

It speaks the ingest protocol of sentry-sdk. Its libraries never mix with the portal's:
requirements-receiver.txt is installed here and nowhere else.
"""

import fcntl
import hashlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import requests

from portal.core.embedded.places import BASE_DIR
from tests.stack import until

REQUIREMENTS = BASE_DIR / "requirements-receiver.txt"
INSTALL_SECONDS = 240
CONFIGURATION = """
from bugsink.settings.default import *
SECRET_KEY = {secret!r}
DATABASES["default"]["NAME"] = {folder!r} + "/db.sqlite3"
DATABASES["snappea"]["NAME"] = {folder!r} + "/snappea.sqlite3"
SNAPPEA = {{"TASK_ALWAYS_EAGER": True}}
EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
BUGSINK = {{"BASE_URL": {url!r}, "PHONEHOME": False, "INGEST_STORE_BASE_DIR": {folder!r} + "/ingest"}}
"""
PROJECT = "from projects.models import Project; print('KEY', Project.objects.create(name='portal').sentry_key.hex)"


class CannotInstallError(RuntimeError):
    """There is no network, or no package for this machine; the text says which."""


class Receiver:
    """`dsn` is where sentry-sdk sends to."""

    def __init__(self, folder: Path, url: str, key: str) -> None:
        self.folder = folder
        self.dsn = f"{url.replace('://', f'://{key}@')}/1"

    def events(self) -> list[dict[str, Any]]:
        """Return what has arrived, as stored."""
        with closing(sqlite3.connect(self.folder / "db.sqlite3")) as database:
            rows = database.execute("SELECT data FROM events_event ORDER BY digested_at").fetchall()
        return [json.loads(row[0]) for row in rows]


def environment() -> Path:
    """Return the folder of programs, installed once per set of requirements. Raises CannotInstallError."""
    parent = Path(os.environ.get("PORTAL_DEBIAN_VAR") or BASE_DIR / "var") / "receiver"
    parent.mkdir(parents=True, exist_ok=True)
    wanted = parent / hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:16]
    with (parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another worker may be at it
        if not (wanted / "complete").exists():
            _install(wanted)
    return wanted / "bin"


def _install(folder: Path) -> None:
    pip = [
        str(folder / "bin" / "python"),
        "-m",
        "pip",
        "install",
        "-q",
        "--disable-pip-version-check",
    ]
    try:
        subprocess.run(
            [sys.executable, "-m", "venv", "--clear", str(folder)], check=True, capture_output=True
        )
        subprocess.run(
            [*pip, "--require-hashes", "-r", str(REQUIREMENTS)],
            check=True, capture_output=True, text=True, timeout=INSTALL_SECONDS,
        )  # fmt: skip
    except subprocess.CalledProcessError as error:
        said = str(error.stderr or error.output or "")[-300:]
        raise CannotInstallError(said) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotInstallError(str(error)) from error
    (folder / "complete").touch()


@contextmanager
def running(folder: Path) -> Iterator[Receiver]:
    """Run a fresh receiver with its data in `folder`. Raises CannotInstallError."""
    programs = environment()
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    values = {"secret": os.urandom(25).hex(), "folder": str(folder), "url": url}
    (folder / "bugsink_conf.py").write_text(CONFIGURATION.format(**values))
    # Nothing of the portal's own configuration may reach it.
    its_own = {"PATH": os.environ["PATH"], "HOME": str(folder), "DJANGO_SETTINGS_MODULE": "bugsink_conf",
               "PYTHONPATH": str(folder)}  # fmt: skip

    def manage(*words: str) -> str:
        command = [str(programs / "bugsink-manage"), *words]
        return subprocess.run(
            command,
            env=its_own,
            cwd=folder,
            check=True,
            capture_output=True,
            text=True,
            timeout=120,
        ).stdout

    manage("migrate", "-v0")
    key = manage("shell", "-c", PROJECT).partition("KEY ")[2].split()[0]
    command = [
        str(programs / "gunicorn"),
        "--bind",
        f"fd://{listener.fileno()}",
        "--threads",
        "2",
        "bugsink.wsgi",
    ]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            command, env=its_own, cwd=folder, pass_fds=[listener.fileno()], stdout=log, stderr=log
        )
    try:
        until(lambda: _answers(url), "the receiver never answered", 60)
        yield Receiver(folder, url, key)
    finally:
        server.send_signal(signal.SIGINT)  # at once, without waiting for idle connections
        server.wait(20)
        listener.close()


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/accounts/login/", timeout=5).status_code < 500
    except requests.RequestException:
        return False
