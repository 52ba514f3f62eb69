"""Starts and stops the two servers of a checkout, which all commands that run in it share."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from portal.core.embedded import places, run_environment
from portal.core.embedded.places import PlaceError
from portal.core.embedded.postgres import Postgres
from portal.core.embedded.processes import StartError
from portal.core.embedded.valkey import Valkey

__all__ = ["EmbeddedServers", "StartError", "joined"]


class EmbeddedServers:
    """PostgreSQL and Valkey under one `var`, started by the first user and stopped by the last.

    Two file locks make that safe between processes. `servers.lock` is held while a server starts or
    stops. Each user holds `servers.users` as a shared lock; a process that can take it exclusively on
    leaving is the last one. The kernel releases the lock of a user that is killed.
    """

    def __init__(
        self, var: Path | None = None, *, unsafe: bool = False, needs: frozenset[str] | None = None
    ) -> None:
        self.var = var or places.var_dir()
        self.postgres = Postgres(self.var, unsafe=unsafe)
        self.valkey = Valkey(self.var, unsafe=unsafe)
        self.needs = needs if needs is not None else missing_urls()
        self._users: IO[str] | None = None

    def start(self, *, owned: bool = False) -> dict[str, str]:
        """Start or join what is needed; return the variables that point to it.

        `owned` servers end with this process, however it ends; others run until the last user leaves.
        Raises StartError, whose message says what to do.
        """
        try:
            self.enter()
            with self.locked():
                return self._start_each(owned=owned)
        except (OSError, PlaceError) as error:
            raise StartError(f"The embedded servers cannot start: {error}") from error

    def enter(self) -> None:
        """Register as a user of the servers, whether or not they run yet."""
        self.var.mkdir(parents=True, exist_ok=True)
        with self.locked():
            self._users = (self.var / "servers.users").open("w")
            fcntl.flock(self._users, fcntl.LOCK_SH)

    def alone(self) -> bool:
        """True when no other process uses the servers."""
        assert self._users is not None
        with self.locked():
            try:
                fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            finally:
                fcntl.flock(self._users, fcntl.LOCK_SH)  # a failed upgrade has released it
            return True

    def leave(self) -> None:
        """Unregister as a user, without stopping the servers."""
        if self._users is not None:
            self._users.close()
            self._users = None

    def _start_each(self, *, owned: bool) -> dict[str, str]:
        urls = {}
        if "DATABASE_URL" in self.needs:
            self.postgres.start(owned=owned)
            urls["DATABASE_URL"] = self.postgres.url
        if "REDIS_URL" in self.needs:
            self.valkey.start(owned=owned)
            urls["REDIS_URL"] = self.valkey.url
        return urls

    def stop(self, *, even_if_used: bool = False) -> bool:
        """Unregister, and stop the servers if no other process uses them. True if they were stopped."""
        if self._users is None:
            return False
        with self.locked():
            try:
                fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                last = True
            except BlockingIOError:
                last = False
            if last or even_if_used:
                self.valkey.stop() if "REDIS_URL" in self.needs else None
                self.postgres.stop() if "DATABASE_URL" in self.needs else None
            self._users.close()
            self._users = None
            return last or even_if_used

    @contextmanager
    def locked(self) -> Iterator[None]:
        with (self.var / "servers.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def missing_urls() -> frozenset[str]:
    """Return which of DATABASE_URL and REDIS_URL are not set in the environment."""
    names = ("DATABASE_URL", "REDIS_URL")
    return frozenset(n for n in names if not (os.environ.get(n) or os.environ.get(f"{n}_FILE")))


@contextmanager
def joined() -> Iterator[None]:
    """Run the block with DATABASE_URL and REDIS_URL set, to the embedded servers where they were not given."""
    for name, value in run_environment.load(places.var_dir()).items():
        if name not in os.environ and f"{name}_FILE" not in os.environ:
            os.environ[name] = value
    if not missing_urls():
        yield
        return
    servers = EmbeddedServers()
    os.environ.update(servers.start())
    try:
        yield
    finally:
        servers.stop()
