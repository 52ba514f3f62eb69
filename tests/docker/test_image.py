"""The image: what goes in is enough to run from, what it runs is there, and it writes nowhere else."""

import fnmatch
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from portal.core.embedded.places import BASE_DIR
from tests.docker.files import DOCKER, clean_environment, services
from tests.stack import answers, free_port, until

DOCKERFILE = (DOCKER / "Dockerfile").read_text().replace("\\\n", " ")
KEYS = {"SECRET_KEY": "build", "FIELD_ENCRYPTION_KEYS": "build", "METRICS_TOKEN": "build"}


def ignored(path: Path) -> bool:
    """Apply .dockerignore to a path of the repository: the last line that matches decides."""
    verdict = False
    for line in (BASE_DIR / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!").removeprefix("**/")
        if not line or line.startswith("#"):
            continue
        names = [*map(str, [path, *list(path.parents)[:-1]])]
        names += path.parts if "**/" in line else []
        if any(fnmatch.fnmatch(name, pattern) for name in names):
            verdict = not line.startswith("!")
    return verdict


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with exactly what `COPY . .` brings into the image."""
    folder = tmp_path_factory.mktemp("image")
    if not shutil.which("git"):
        pytest.skip(
            "skipped: no git, which tells what belongs to the repository. Install the package git."
        )
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=BASE_DIR, capture_output=True, text=True, check=False,
    ).stdout.splitlines()  # fmt: skip
    if not listed:
        pytest.skip(
            "skipped: this is no git checkout, so what belongs to the repository cannot be told."
        )
    for name in listed:
        if not ignored(Path(name)) and (BASE_DIR / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(BASE_DIR / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def built(context: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the build's command for the static files; return the PORTAL_VAR it filled."""
    assert "manage.py collectstatic --no-input" in DOCKERFILE
    var = tmp_path_factory.mktemp("var")
    command = [sys.executable, "manage.py", "collectstatic", "--no-input", "-v", "0"]
    environment = clean_environment(**KEYS, PORTAL_VAR=str(var), PYTHONDONTWRITEBYTECODE="1")
    subprocess.run(command, cwd=context, env=environment, check=True)
    return var


def test_nothing_private_goes_into_the_image(context: Path) -> None:
    top = {path.name for path in context.iterdir()}
    assert {"manage.py", "portal", "requirements.txt"} <= top
    assert not top & {"tests", "docs", "var", ".git", ".venv"}
    assert ignored(Path("var/secrets/secret_key"))
    assert ignored(Path("portal/__pycache__/settings.cpython-313.pyc"))
    assert not ignored(Path("portal/settings.py"))


def test_the_build_leaves_no_secret_in_the_image(built: Path) -> None:
    assert (built / "static" / "staticfiles.json").exists()
    assert [path.name for path in built.iterdir()] == ["static"]


def test_every_file_that_is_copied_is_in_the_context(context: Path) -> None:
    copied = re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.M)
    assert copied
    for words in copied:
        for source in words.split()[:-1]:
            assert (context / source).exists()


def test_the_last_stage_has_no_root_and_a_version_of_python_that_is_pinned() -> None:
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.search(r"^USER \d+:\d+$", last, re.M)
    assert "HEALTHCHECK" in last
    assert re.search(r"^ARG PYTHON=python:3\.\d+\.\d+-slim-bookworm$", DOCKERFILE, re.M)
    users = {
        s["user"]
        for n, s in services().items()
        if s["image"].startswith("devops-portal:") and n != "secrets"
    }
    assert users == set(re.findall(r"^USER (.+)$", last, re.M))


def test_what_is_copied_is_made_readable_for_the_account_that_runs_it() -> None:
    """A checkout under umask 077 gives COPY files that only their owner, in the image root, may read."""
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert last.index("COPY . .") < last.index("chmod -R go+rX -- *") < last.index("USER ")


def test_every_script_that_a_container_runs_is_in_the_image(context: Path) -> None:
    for service in services().values():
        words = [*service.get("command", ()), *service.get("healthcheck", {}).get("test", ())]
        if service["image"].startswith("devops-portal:"):
            for word in words:
                assert not word.startswith("docker/") or (context / word).exists()


@pytest.fixture
def web(context: Path, built: Path, tmp_path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Run the image's default command on its own files; yield its address and its environment."""
    port = free_port()
    told = {n: os.environ[n] for n in ("DATABASE_URL", "REDIS_URL")}
    environment = clean_environment(
        **KEYS, **told, PORTAL_VAR=str(built), PORTAL_BIND=f"127.0.0.1:{port}", TMPDIR=str(tmp_path),
        PROMETHEUS_MULTIPROC_DIR=str(tmp_path / "metrics"), AUDIT_LOG_DIR=str(tmp_path), WEB_CONCURRENCY="1",
        PYTHONDONTWRITEBYTECODE="1", DJANGO_SETTINGS_MODULE="portal.settings",
    )  # fmt: skip
    (words,) = re.findall(r'^CMD \["gunicorn", (.+)\]$', DOCKERFILE, re.M)
    command = [sys.executable, "-m", "gunicorn", *re.findall(r'"([^"]+)"', words)]
    process = subprocess.Popen(command, cwd=context, env=environment, stderr=subprocess.DEVNULL)
    try:
        until(lambda: answers(f"http://127.0.0.1:{port}/healthz"), "the web server did not start")
        yield f"http://127.0.0.1:{port}", environment
    finally:
        process.terminate()
        process.wait(timeout=20)


def files_of(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def health(path: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(DOCKER / "healthcheck.py"), path]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_web_server_runs_from_the_image_and_writes_nothing_into_it(
    context: Path, built: Path, web: tuple[str, dict[str, str]]
) -> None:
    before = files_of(context) | files_of(built)
    url, environment = web
    assert health("/healthz", environment).returncode == 0
    unready = health("/readyz", environment)  # no worker runs here
    assert unready.returncode == 1
    assert "worker" in unready.stdout
    assert answers(f"{url}/admin/login/")
    assert files_of(context) | files_of(built) == before


def test_the_health_check_says_why_nothing_answers() -> None:
    done = health("/readyz", clean_environment(PORTAL_BIND=f"0.0.0.0:{free_port()}"))
    assert done.returncode == 1
    assert "does not answer" in done.stdout


def test_worker_and_beat_are_healthy_once_they_have_begun(tmp_path: Path) -> None:
    environment = clean_environment(PORTAL_READY_FILE=str(tmp_path / "ready"))
    assert health("-", environment).returncode == 1
    (tmp_path / "ready").touch()
    assert health("-", environment).returncode == 0
    assert health("-", clean_environment()).returncode == 1
