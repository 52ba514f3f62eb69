"""Debian packages without root: the right ones, unpacked where `find` looks, and sentences else."""

import os
import shutil
from pathlib import Path

import pytest

from portal.core.embedded import binaries, debian


def test_each_package_is_fetched_once() -> None:
    assert debian.packages_for(["prometheus", "promtool", "node_exporter"]) == [
        "prometheus",
        "prometheus-node-exporter",
    ]


def test_the_path_wins_over_what_was_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (tmp_path / "bin", binaries.unpacked_root(tmp_path) / "usr" / "bin"):
        folder.mkdir(parents=True)
        (folder / "prometheus-alertmanager").write_text("#!/bin/sh\n")
        (folder / "prometheus-alertmanager").chmod(0o755)
    unpacked = binaries.unpacked_root(tmp_path) / "usr" / "bin" / "prometheus-alertmanager"
    monkeypatch.setenv("PATH", "/nowhere")
    assert binaries.find("alertmanager", tmp_path) == unpacked
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert binaries.find("alertmanager", tmp_path) == tmp_path / "bin" / "prometheus-alertmanager"
    assert binaries.find("prometheus", tmp_path) is None


@pytest.mark.parametrize(
    "script, words",
    [
        pytest.param(
            "echo 'E: Unable to locate package x' >&2; exit 100", "locate package", id="fails"
        ),
        pytest.param("exit 0", "does not offer them", id="brings-nothing"),
        pytest.param("sleep 30", "did not answer within", id="hangs"),
    ],
)
def test_a_fetch_that_fails_is_a_sentence(
    script: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "bin" / "apt-get"
    fake.parent.mkdir()
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(debian.FetchError, match=words):
        debian.fetch(["prometheus"], tmp_path / "var", seconds=0.5)


@pytest.mark.skipif(not debian.is_possible(), reason="skipped: no apt-get on this system")
def test_a_package_is_really_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A local archive stands for the download; dpkg-deb is the real one."""
    built = tmp_path / "package"
    (built / "DEBIAN").mkdir(parents=True)
    control = (
        "Package: prometheus\nVersion: 1\nArchitecture: all\nMaintainer: x <x@y>\nDescription: x\n"
    )
    (built / "DEBIAN" / "control").write_text(control)
    (built / "usr" / "bin").mkdir(parents=True)
    shutil.copy("/bin/true", built / "usr" / "bin" / "prometheus")
    archive = tmp_path / "prometheus_1_all.deb"
    debian._run(["dpkg-deb", "-b", str(built), str(archive)], tmp_path, None, 30)

    def download(_packages: object, folder: Path, *_rest: object) -> bool:
        (folder / "archives").mkdir(parents=True)
        shutil.copy(archive, folder / "archives")
        return True

    monkeypatch.setattr(debian, "_download", download)
    debian.fetch(["prometheus"], tmp_path / "var")
    monkeypatch.setenv("PATH", "/nowhere")
    assert binaries.find("prometheus", tmp_path / "var") is not None
    assert list((tmp_path / "var" / "debian" / "archives").iterdir()) == []
