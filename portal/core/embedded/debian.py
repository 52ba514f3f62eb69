"""Fetches Prometheus's programs from the Debian archive without root, into `var/debian/root`.

They are static Go binaries, so the packages have no dependencies. apt runs with a separate state
folder: it reads the system's package lists if they are fresh, and writes nothing to the system.
"""

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from portal.core.embedded import binaries, places, relocate

FETCH_SECONDS = 240
HOW_TO_GET_THEM = (
    "Install prometheus, prometheus-alertmanager and prometheus-node-exporter (apt, dnf, brew, or"
    " https://prometheus.io/download/) so that they are on PATH, or set PROMETHEUS_URL and"
    " ALERTMANAGER_URL."
)


class FetchError(Exception):
    """The packages cannot be fetched; the message says why."""


def is_possible() -> bool:
    return bool(shutil.which("apt-get") and shutil.which("dpkg-deb"))


def packages_for(programs: Iterable[str]) -> list[str]:
    """Return the Debian packages that contain `programs`, without duplicates."""
    return list(dict.fromkeys(binaries.PROGRAMS[program][1] for program in programs))


def fetch(packages: list[str], var: Path, *, seconds: float = FETCH_SECONDS) -> None:
    """Download and unpack `packages`. Raises FetchError."""
    folder = var / "debian"
    try:
        configuration = _configuration(folder)
        if not _download(packages, folder, None, seconds):
            _run(["apt-get", "-q", "update"], folder, configuration, seconds)
            if not _download(packages, folder, configuration, seconds):
                raise FetchError("the Debian archive does not offer them")
        for archive in (folder / "archives").glob("*.deb"):
            _run(
                ["dpkg-deb", "-x", str(archive), str(binaries.unpacked_root(var))],
                folder,
                None,
                120,
            )
            archive.unlink()
        relocate.relocate(binaries.unpacked_root(var))
    except subprocess.TimeoutExpired as error:
        raise FetchError(f"the Debian archive did not answer within {seconds:g} s") from error
    except subprocess.CalledProcessError as error:
        raise FetchError(_last_line(error.stderr)) from error
    except OSError as error:
        raise FetchError(str(error)) from error


def _download(
    packages: list[str], folder: Path, configuration: Path | None, seconds: float
) -> bool:
    """Download into `archives`; if `configuration` is None, use the system's package lists."""
    archives = folder / "archives"
    shutil.rmtree(archives, ignore_errors=True)
    archives.mkdir(parents=True)
    try:
        _run(["apt-get", "-q", "download", *packages], archives, configuration or _lists_of_system(folder),
             seconds)  # fmt: skip
    except subprocess.CalledProcessError:
        return False
    return len(list(archives.glob("*.deb"))) == len(packages)


def _common(folder: Path) -> str:
    # apt's sandbox user, _apt, may not be able to reach our folder.
    try:
        account = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a container's uid may have no account; apt sandboxes only for root
        account = "root"
    return "\n".join(
        (
            f'Dir::Cache "{folder}/cache";',
            'Dir::Cache::pkgcache ""; Dir::Cache::srcpkgcache "";',
            f'APT::Sandbox::User "{account}";',
            'Acquire::Retries "1"; Acquire::http::Timeout "20"; Acquire::https::Timeout "20";',
        )
    )


def _lists_of_system(folder: Path) -> Path:
    path = folder / "system.conf"
    path.write_text(_common(folder) + "\n")
    return path


def _configuration(folder: Path) -> Path:
    for name in ("state/lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    status = folder / "status"
    status.touch()
    path = folder / "apt.conf"
    path.write_text(
        f'{_common(folder)}\nDir::State "{folder}/state";\nDir::State::status "{status}";\n'
    )
    return path


def _run(argv: list[str], cwd: Path, configuration: Path | None, seconds: float) -> None:
    environment = os.environ | {"LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    if configuration is not None:
        environment["APT_CONFIG"] = str(configuration)
    subprocess.run(
        argv, cwd=cwd, env=environment, timeout=seconds, check=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def _last_line(output: str | None) -> str:
    lines = [line.strip() for line in (output or "").splitlines() if line.strip()]
    return lines[-1].removeprefix("E: ")[:300] if lines else "apt-get failed without a message"


def main() -> int:
    """Fetch the packages named on the command line; the last line printed states the result."""
    try:
        fetch(sys.argv[1:], places.var_dir())
    except FetchError as error:
        print(f"not fetched: {str(error).rstrip('.')}. {HOW_TO_GET_THEM}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
