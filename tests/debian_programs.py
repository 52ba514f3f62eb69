"""Programs of Debian packages for the tests: installed, or unpacked under `var/` without root."""

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from portal.core.embedded import binaries, debian
from portal.core.embedded.places import var_dir


def program(name: str, package: str) -> tuple[Path, dict[str, str]]:
    """Return a program and the environment it needs; the test is skipped where it cannot be had."""
    if installed := shutil.which(name):
        return Path(installed), dict(os.environ)
    var = Path(os.environ.get("PORTAL_DEBIAN_VAR") or var_dir())
    root = binaries.unpacked_root(var)
    path = root / "usr" / "bin" / name
    if not path.exists():
        _fetch(package, var, path)
    modules = str(root / "usr" / "lib" / "python3" / "dist-packages")
    return path, {**os.environ, "PYTHONPATH": modules}


def _fetch(package: str, var: Path, path: Path) -> None:
    if not debian.is_possible():
        pytest.skip(f"skipped: no {path.name} on PATH. Install Debian's package {package}.")
    with (Path(tempfile.gettempdir()) / "portal-tests-debian.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists():
            return
        try:
            debian.fetch([package], var, seconds=90)
        except debian.FetchError as error:
            pytest.skip(f"skipped: {package} cannot be fetched: {error}.")
