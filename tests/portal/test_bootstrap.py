"""docker/bootstrap.py on machines that lack something: one sentence, and nothing half made stays."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from portal.core.embedded.places import BASE_DIR

SCRIPT = BASE_DIR / "docker" / "bootstrap.py"


@pytest.fixture
def bootstrap() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bootstrap", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(*words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PIP_NO_INDEX": "1"}
    return subprocess.run(
        [sys.executable, str(SCRIPT), *words],
        text=True,
        capture_output=True,
        env=environment,
        check=False,
    )


@pytest.fixture
def requirements(tmp_path: Path) -> Path:
    path = tmp_path / "requirements.txt"
    path.write_text("# nothing\n")
    return path


def test_a_python_without_venv_names_the_package(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "importable", lambda module: module != "ensurepip")
    with pytest.raises(SystemExit) as end:
        bootstrap.check_python()
    assert "no module ensurepip" in str(end.value)
    assert f"python{sys.version_info[0]}.{sys.version_info[1]}-venv" in str(end.value)


def test_a_python_that_is_too_old_says_which_is_needed(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "NEEDED", (4, 0))
    with pytest.raises(SystemExit, match=r"Python 4\.0 or newer is needed.*PYTHON="):
        bootstrap.check_python()


def test_a_half_made_environment_is_made_anew_and_a_good_one_left_alone(
    tmp_path: Path, requirements: Path
) -> None:
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").symlink_to("/nowhere/python")
    first = run(str(venv), str(requirements))
    assert first.returncode == 0, first.stderr
    assert "making it anew" in first.stdout
    second = run(str(venv), str(requirements))
    assert (second.returncode, second.stdout) == (0, "")
    requirements.write_text("# changed\n")
    assert "Packages: installed" in run(str(venv), str(requirements)).stdout


def test_a_package_that_cannot_be_had_is_a_sentence_and_is_tried_again(
    tmp_path: Path, requirements: Path
) -> None:
    digest = "0" * 64
    requirements.write_text(f"no-such-package-anywhere==1 --hash=sha256:{digest}\n")
    for _ in range(2):
        failed = run(str(tmp_path / "venv"), str(requirements))
        assert failed.returncode == 1
        assert "pip could not install the packages" in failed.stderr
        assert "PIP_INDEX_URL" in failed.stderr
