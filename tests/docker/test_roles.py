"""Every role of the image with the command and the environment of compose.yml, outside of a container."""

import os
import re
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from portal.core.embedded.places import BASE_DIR
from tests.docker import files
from tests.docker.files import clean_environment, services
from tests.docker.queries import metrics_asked_for
from tests.stack import answers, free_port, until

made = files.script("make_secrets")
# The worker of this stack must not answer for that of another test.
REDIS_NUMBER = 15


class Host:
    """A folder in place of a container's root, with the secrets that `secrets` would make."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        for name in ("run/secrets", "run/metrics", "tmp", "static", "secrets", "audit"):
            (folder / name).mkdir(parents=True)
        for name in made.VOLUMES["secrets-portal"].files:
            (folder / "run/secrets" / name).write_text(f"the {name}")
        redis = os.environ["REDIS_URL"].replace("?db=0", f"?db={REDIS_NUMBER}")
        (folder / "run/secrets/redis_url").write_text(redis)
        (folder / "run/secrets/database_url").write_text(os.environ["DATABASE_URL"])

    def here(self, text: str) -> str:
        """Return `text` with the container's paths below this folder, PORTAL_VAR's at its top."""

        def moved(match: re.Match[str]) -> str:
            return f"{self.folder}/{match['kept'] or ''}"

        return re.sub(r"(?<!\S)/(?:(?P<kept>run/|tmp/)|var/lib/devops-portal/)", moved, text)

    def environment(self, name: str) -> dict[str, str]:
        given = {k: self.here(v) for k, v in services()[name]["environment"].items() if v}
        given |= {"PROMETHEUS_URL": "http://127.0.0.1:9", "ALERTMANAGER_URL": "http://127.0.0.1:9"}
        return clean_environment(
            **given, DJANGO_SETTINGS_MODULE="portal.settings", PYTHONDONTWRITEBYTECODE="1",
            PORTAL_VAR=str(self.folder), PORTAL_BIND=f"127.0.0.1:{self.port}", TMPDIR=str(self.folder / "tmp"),
        )  # fmt: skip

    def command(self, name: str) -> list[str]:
        default = ["gunicorn", "-c", "python:portal.gunicorn_conf", "portal.wsgi"]
        words = [self.here(word) for word in services()[name].get("command", default)]
        return words if words[0] == "sh" else [sys.executable, "-m", *words]

    @contextmanager
    def running(self, name: str) -> Iterator[None]:
        process = subprocess.Popen(
            self.command(name), cwd=BASE_DIR, env=self.environment(name), stderr=subprocess.DEVNULL
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=40)

    def healthy(self, name: str) -> bool:
        words = services()[name]["healthcheck"]["test"][2:]
        command = [sys.executable, *words]
        return (
            subprocess.call(command, cwd=BASE_DIR, env=self.environment(name), stdout=subprocess.DEVNULL) == 0
        )  # fmt: skip

    def metrics(self) -> str:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/metrics",
            headers={"Authorization": "Bearer the metrics_token", "Host": "portal:8000"},
        )
        with urllib.request.urlopen(request, timeout=10) as reply:
            return str(reply.read().decode())


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    """Prepare as the service `prepare` does; `python` of its shell is the one that runs the tests."""
    host = Host(tmp_path_factory.mktemp("container"))
    (host.folder / "bin").mkdir()
    (host.folder / "bin" / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (host.folder / "bin" / "python").chmod(0o755)
    environment = host.environment("prepare")
    environment["PATH"] = f"{host.folder / 'bin'}:{environment['PATH']}"
    argv = host.command("prepare")
    argv[-1] = argv[-1].replace("manage.py", str(BASE_DIR / "manage.py"))
    done = subprocess.run(
        argv, cwd=BASE_DIR, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "/dop_enrol_" in done.stdout
    return host


def test_alertmanager_finds_a_token_that_its_group_may_read(host: Host) -> None:
    token = host.folder / "secrets" / "portal_token"
    assert token.read_text().startswith("dop_pat_")
    assert stat.S_IMODE(token.stat().st_mode) == 0o640


def test_web_worker_and_beat_become_healthy_together_and_count_together(host: Host) -> None:
    with ExitStack() as stack:
        for name in ("portal", "worker", "beat"):
            stack.enter_context(host.running(name))
        until(
            lambda: answers(f"http://127.0.0.1:{host.port}/healthz"), "the web server did not start"
        )
        for name in ("worker", "beat", "portal"):
            until(lambda name=name: host.healthy(name), f"{name} did not become healthy", 60)  # type: ignore[misc]
        # The polls fail, for nothing listens there; that they were counted is known to the web server.
        until(
            lambda: "portal_upstream_request_seconds_count{" in host.metrics(),
            "nothing was counted",
        )
        there = host.metrics()
        asked = metrics_asked_for("portal", "django")
        assert {name for name in asked if f"# TYPE {name}" not in there} == set()
