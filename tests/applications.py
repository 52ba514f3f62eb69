"""Applications that use the portal's snippets exactly as the page prints them, run for real."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from portal.core.embedded.places import BASE_DIR
from portal.core.models import Service
from portal.snippets import LANGUAGES, render
from tests.stack import until

NODE = BASE_DIR / "tests" / "apps" / "node"
INSTALL_SECONDS = 300


def node_modules() -> Path:
    """Return a folder with the packages of the lock file, installed once; skip where that cannot be."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("skipped: no Node.js on this machine. Install the packages nodejs and npm.")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
    if int(version.stdout.lstrip("v").partition(".")[0]) < 18:
        pytest.skip(f"skipped: Node.js {version.stdout.strip()} is older than 18.")
    lock = (NODE / "package-lock.json").read_bytes()
    parent = Path(os.environ.get("PORTAL_DEBIAN_VAR") or BASE_DIR / "var") / "node"
    folder = parent / hashlib.sha256(lock).hexdigest()[:16]
    parent.mkdir(parents=True, exist_ok=True)
    with (parent / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # another worker of this run may be installing
        if not (folder / "done").exists():
            _install(folder)
    return folder


def _install(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in ("package.json", "package-lock.json"):
        shutil.copy(NODE / name, folder / name)
    argv = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(
        argv, cwd=folder, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
    )
    if done.returncode:
        pytest.skip(
            f"skipped: the packages of the Node.js application cannot be had: {done.stderr[-300:]}"
        )
    (folder / "done").touch()


def write_snippets(language: str, service: Service, folder: Path) -> None:
    for snippet in LANGUAGES[language]:
        (folder / snippet.file).write_text(render(snippet, service))


class Application:
    """A running application; `lines` is what it printed."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.lines: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as printed:
            self.lines.extend(iter(printed.readline, ""))

    @property
    def address(self) -> str:
        port = until(self._port, "the application did not start")
        return f"127.0.0.1:{port}"

    def _port(self) -> str:
        assert self.process.poll() is None, "".join(self.lines)
        found = [line.split()[1] for line in self.lines if line.startswith("listening ")]
        return found[0] if found else ""

    def get(self, path: str) -> requests.Response:
        return requests.get(f"http://{self.address}{path}", timeout=10)

    def stop(self) -> None:
        """Ask it to end, which sends what still waits."""
        self.process.terminate()
        self.process.wait(timeout=30)


@contextmanager
def node_shop(service: Service, environment: Mapping[str, str], name: str) -> Iterator[Application]:
    """Run tests/apps/node/app.js with the snippets of `service`."""
    modules = node_modules()
    folder = modules / f"run-{name}-{os.getpid()}"
    folder.mkdir(exist_ok=True)
    try:
        shutil.copy(NODE / "app.js", folder / "app.js")
        write_snippets("Node.js", service, folder)
        argv = ["node", "--require", "./traces.js", "app.js"]
        with _started(argv, folder, environment) as application:
            yield application
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _started(
    argv: list[str], folder: Path, environment: Mapping[str, str]
) -> Iterator[Application]:
    process = subprocess.Popen(
        argv,
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    application = Application(process)
    try:
        yield application
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(timeout=10)


def run_python(code: str, service: Service, folder: Path, environment: Mapping[str, str]) -> str:
    """Run `code` beside the Python snippets of `service`; return what it printed."""
    write_snippets("Python", service, folder)
    # `audit.py` and others must not be shadowed by packages of the portal.
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, **environment, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
