"""Debian's rsyslog on loopback, receiving by TCP or TLS and writing each message to a file."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from portal.core.embedded import binaries, debian
from portal.core.embedded.places import var_dir
from tests.stack import free_port, until

PACKAGES = ["rsyslog", "rsyslog-openssl", "libestr0", "libfastjson4"]
CONFIGURATION = """
global(workDirectory="{folder}" {tls})
module(load="imtcp" {driver})
input(type="imtcp" address="127.0.0.1" port="{port}")
template(name="fields" type="string" string="%pri% %app-name% %msgid% %structured-data% ### %msg%\\n")
action(type="omfile" file="{folder}/received" template="fields")
"""
TLS = (
    'defaultNetstreamDriver="ossl" defaultNetstreamDriverCAFile="{ca}"'
    ' defaultNetstreamDriverCertFile="{cert}" defaultNetstreamDriverKeyFile="{key}"'
)


def program() -> tuple[str, str, dict[str, str]]:
    """Return rsyslogd, its folder of modules, and its environment; skip the test without it."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin"
    installed = shutil.which("rsyslogd", path=path)
    if installed and (modules := _modules(Path("/"))):
        return installed, modules, dict(os.environ)
    var = Path(os.environ.get("PORTAL_DEBIAN_VAR") or var_dir())
    root = binaries.unpacked_root(var)
    with (Path(tempfile.gettempdir()) / "portal-tests-debian.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _modules(root):
            _fetch(var)
    modules = _modules(root)
    libraries = str(Path(modules).parent)
    return (
        str(root / "usr" / "sbin" / "rsyslogd"),
        modules,
        {**os.environ, "LD_LIBRARY_PATH": libraries},
    )


def _modules(root: Path) -> str:
    found = [*(root / "usr" / "lib").glob("*/rsyslog/lmnsd_ossl.so")]
    return str(found[0].parent) if found else ""


def _fetch(var: Path) -> None:
    if not debian.is_possible():
        pytest.skip(
            "skipped: no rsyslog with OpenSSL. Install Debian's rsyslog and rsyslog-openssl."
        )
    try:
        debian.fetch(PACKAGES, var, seconds=90)
    except debian.FetchError as error:
        pytest.skip(f"skipped: rsyslog cannot be fetched: {error}.")


@dataclass
class Rsyslog:
    """One receiver; `start` and `stop` it at will, on one port."""

    folder: Path
    tls: dict[str, Path] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        path, modules, environment = program()
        driver = 'streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="anon"'
        text = CONFIGURATION.format(
            folder=self.folder, port=self.port, driver=driver if self.tls else "",
            tls=TLS.format(**self.tls) if self.tls else "",
        )  # fmt: skip
        (self.folder / "rsyslog.conf").write_text(text)
        argv = [
            path,
            "-n",
            "-f",
            str(self.folder / "rsyslog.conf"),
            "-i",
            str(self.folder / "pid"),
            "-M",
            modules,
        ]
        with (self.folder / "stderr").open("ab") as errors:
            self.process = subprocess.Popen(argv, env=environment, stdout=errors, stderr=errors)
        until(self._listens, "rsyslog did not start")

    def _listens(self) -> bool:
        needle = f":{self.port:04X} "
        rows = Path("/proc/net/tcp").read_text().splitlines()
        return any(needle in row.split()[1] + " " and row.split()[3] == "0A" for row in rows[1:])

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=20)
            self.process = None

    def received(self) -> list[tuple[str, str]]:
        """Return (header fields, message) of what has arrived."""
        file = self.folder / "received"
        lines = file.read_text().split("\n")[:-1] if file.exists() else []
        return [(line.partition(" ### ")[0], line.partition(" ### ")[2]) for line in lines]


@contextmanager
def rsyslog(folder: Path, tls: dict[str, Path] | None = None) -> Iterator[Rsyslog]:
    receiver = Rsyslog(folder, tls or {})
    try:
        receiver.start()
        yield receiver
    finally:
        receiver.stop()
