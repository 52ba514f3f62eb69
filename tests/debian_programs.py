"""Programs of Debian packages for the tests: installed, or unpacked under `var/` without root."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from portal.core.embedded import binaries, debian
from portal.core.embedded.places import var_dir


def place() -> Path:
    """Return the folder below which packages are unpacked, for all tests of a run and for the next."""
    return Path(os.environ.get("PORTAL_DEBIAN_VAR") or var_dir())


def program(name: str, package: str) -> tuple[Path, dict[str, str]]:
    """Return a program and the environment it needs; the test is skipped where it cannot be had."""
    if installed := shutil.which(name):
        return Path(installed), dict(os.environ)
    var = place()
    root = binaries.unpacked_root(var)
    path = root / "usr" / "bin" / name
    if not path.exists():
        fetch(package, var, path.exists)
    modules = str(root / "usr" / "lib" / "python3" / "dist-packages")
    return path, {**os.environ, "PYTHONPATH": modules}


def fetch(package: str, var: Path, is_there: Callable[[], bool]) -> None:
    """Unpack `package` below `var`, unless another test did meanwhile; skip where it cannot be had."""
    if not debian.is_possible():
        pytest.skip(f"skipped: nothing to fetch Debian's package {package} with. Install it.")
    with (Path(tempfile.gettempdir()) / f"portal-tests-debian-{os.geteuid()}.lock").open(
        "w"
    ) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_there():
            return
        try:
            debian.fetch([package], var, seconds=90)
        except debian.FetchError as error:
            pytest.skip(f"skipped: {package} cannot be fetched: {error}.")
