"""Debian's programs run from where they were unpacked, whatever is installed on the system."""

import subprocess
from pathlib import Path

import pytest

from portal.core.embedded import binaries, debian, relocate
from portal.core.embedded.relocate import FIXED, RELATIVE


def program_in(root: Path, text: str) -> Path:
    program = root / "usr" / "bin" / "prometheus"
    program.parent.mkdir(parents=True)
    program.write_text(text)
    program.chmod(0o755)
    return program


def test_nothing_in_a_program_moves() -> None:
    assert len(FIXED) == len(RELATIVE)


def test_a_program_reads_its_pages_from_the_unpacked_folder(tmp_path: Path) -> None:
    root = tmp_path / "a folder's root"
    program = program_in(root, '#!/bin/sh\ncat /usr/share/prometheus/page; echo "$@"\n')
    (root / "usr" / "share" / "prometheus").mkdir(parents=True)
    (root / "usr" / "share" / "prometheus" / "page").write_text("the page, ")
    for _twice in range(2):
        relocate.relocate(root)
        said = subprocess.run([program, "one  word"], capture_output=True, text=True, check=True)
        assert said.stdout == "the page, one  word\n"


def test_other_programs_stay_as_they_are(tmp_path: Path) -> None:
    program = program_in(tmp_path, "#!/bin/sh\necho /usr/share/else\n")
    (program.parent / "alias").symlink_to(program.name)
    relocate.relocate(tmp_path)
    relocate.relocate(tmp_path / "without-programs")
    assert program.read_text() == "#!/bin/sh\necho /usr/share/else\n"
    assert not (tmp_path / "usr" / "libexec").exists()


@pytest.mark.skipif(not debian.is_possible(), reason="skipped: no apt-get on this system")
def test_debians_alertmanager_needs_nothing_of_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        debian.fetch(["prometheus-alertmanager"], tmp_path, seconds=90)
    except debian.FetchError as error:
        pytest.skip(f"skipped: prometheus-alertmanager cannot be fetched: {error}.")
    monkeypatch.setenv("PATH", "/nowhere")
    found = binaries.find("amtool", tmp_path)
    assert found is not None
    for program in (found.parent).iterdir():
        assert FIXED not in program.read_bytes()
    alertmanager = found.with_name("prometheus-alertmanager")
    relocated = binaries.unpacked_root(tmp_path) / "usr" / "libexec" / alertmanager.name
    assert b"usr/share/prometheus//alertmanager" in relocated.read_bytes()
    subprocess.run([alertmanager, "--version"], check=True, capture_output=True, timeout=30)
