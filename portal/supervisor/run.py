"""Runs the supervisor: assembles the parts, runs the loop, and stops the parts in order."""

import math
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

from portal import __version__, env
from portal.core.embedded import binaries, debian, processes, run_environment
from portal.core.embedded.places import BASE_DIR, socket_dir
from portal.core.embedded.processes import StartError
from portal.core.embedded.servers import EmbeddedServers
from portal.supervisor import console, logs, portal_parts, ports
from portal.supervisor.guard import Guard
from portal.supervisor.portal_parts import Progress
from portal.supervisor.servers import Given, Server
from portal.supervisor.stack import Stack
from portal.supervisor.units import Child, Part, Unit

PRIVATE_PORTS = ("Prometheus", "Alertmanager", "node-exporter")
FETCH = "Debian packages"
# `make`, a terminal and `timeout` may each forward the same signal; only a later one means "hurry".
SAME_SIGNAL_SECONDS = 1.0


class Supervisor:
    """One run of this checkout, from start to stop."""

    def __init__(self, var: Path, guard: Guard) -> None:
        self.var = var
        self.guard = guard
        self.signals = 0
        self._signalled = -math.inf
        self.servers = EmbeddedServers(var)
        self.host, wanted = _bind(os.environ)
        self.listener = ports.listen(wanted, self.host)
        self.port = port = int(self.listener.getsockname()[1])
        if port != wanted:
            why = f"port {wanted} is taken by another program; " if wanted else ""
            console.say("Web", f"{why}using {port}")
        self.url = _portal_url(env.url("PORTAL_URL", ("http", "https")), self.host, port)
        self.stack = Stack(
            var,
            Stack.wanted(os.environ),
            ports.PrivatePorts(PRIVATE_PORTS, var / "ports.json"),
            portal=f"127.0.0.1:{port}",
            given_alertmanagers=tuple(env.urls("ALERTMANAGER_URL")),
        )
        self.progress = Progress(var / "run" / "prepare.jsonl", console.say)
        self.found: dict[str, str] = {}
        self.units = self._assemble()

    def _assemble(self) -> list[Unit]:
        """Return all parts in start order; they are stopped in reverse order."""
        self.servers.postgres.keep_open = self.servers.valkey.keep_open = (self.guard.inherited,)
        units: list[Unit] = [
            self._server("PostgreSQL", "DATABASE_URL"),
            self._server("Redis", "REDIS_URL"),
        ]
        missing = self.stack.missing()
        fetching = bool(missing) and debian.is_possible()
        if fetching:
            units.append(self._child(self._fetch(missing)))
        self._choose()
        units.append(
            self._child(portal_parts.preparation(self.var, self.progress, self.environment))
        )
        needs = ("Preparation", FETCH) if fetching else ("Preparation",)
        for part in self.stack.parts(self.environment, needs):
            units.append(self._child(part))
        if fetching:
            units.append(self._child(self._upstreams()))
        for part in portal_parts.processes(
            self.var, self.host, self.port, self.url, self.environment
        ):
            units.append(self._child(part))
        return units

    def _server(self, name: str, variable: str) -> Unit:
        if variable not in self.servers.needs:
            return Given(name, variable, console.say)
        server = self.servers.postgres if name == "PostgreSQL" else self.servers.valkey
        return Server(name, server, self.servers, console.say)

    def _child(self, part: Part) -> Child:
        listener = (self.listener.fileno(),) if part.name == "Web" else ()
        return Child(part, console.say, keep_open=(self.guard.inherited, *listener))

    def _fetch(self, missing: list[str]) -> Part:
        """Return the part that fetches packages while the portal is already starting."""
        packages = debian.packages_for(missing)
        return Part(
            name=FETCH, argv=lambda: [*_python("-m", "portal.core.embedded.debian"), *packages],
            log=self.var / "log" / "debian.log", ready=lambda: False, environment=self.environment,
            once=True, optional=True, on_progress=lambda: None,
        )  # fmt: skip

    def _upstreams(self) -> Part:
        """Return the part that registers, after a fetch, the servers that can now run here."""

        def environment() -> Mapping[str, str]:
            self._choose()
            return self.environment()

        progress = Progress(self.var / "run" / "upstreams.jsonl", console.say)
        return portal_parts.preparation(
            self.var, progress, environment, name="Upstreams", needs=("Preparation", FETCH), only="upstreams"
        )  # fmt: skip

    def _choose(self) -> None:
        """Decide which servers the portal uses, for its parts and for commands in other terminals."""
        urls = self.stack.urls()
        embedded = [name.removesuffix("_URL").lower() for name in urls]
        self.found = {"PORTAL_URL": self.url, "PORTAL_EMBEDDED": ",".join(embedded), **urls}
        run_environment.save(self.var, {**os.environ, **self.found})

    def environment(self) -> dict[str, str]:
        """Return the environment for a part that starts now."""
        made = portal_parts.base_environment(self.var, self.listener.fileno())
        own = {
            "DATABASE_URL": lambda: self.servers.postgres.url,
            "REDIS_URL": lambda: self.servers.valkey.url,
        }
        servers = {name: own[name]() for name in self.servers.needs if _has_password(self, name)}
        return {**os.environ, **made, **self.found, **servers}

    def run(self) -> int:
        self._catch_signals()
        self._banner()
        self._clean()
        self.servers.enter()
        self.guard.note("running", self.url)
        told = False
        while not self.signals:
            available = {unit.name for unit in self.units if unit.available}
            for unit in self.units:
                if not self.signals:
                    unit.step(available)
            if not told and all(
                u.settled for u in self.units if u.name in ("Web", "Worker", "Beat")
            ):
                told = True
                self._welcome()
            time.sleep(0.1)
        self.stop()
        return 0

    def stop(self) -> None:
        console.plain("Stopping; press Ctrl-C again to stop faster.")
        self.guard.note("stopping", self.url)
        for unit in reversed(self.units):
            unit.stop(lambda: self.signals > 1)
        self.servers.leave()
        self.listener.close()
        left = self.guard.orphans()
        console.plain(
            f"Processes {', '.join(map(str, left))} are still ending." if left else "All stopped."
        )

    def _catch_signals(self) -> None:
        def handle(_number: int, _frame: FrameType | None) -> None:
            now = time.monotonic()
            self.signals += now - self._signalled > SAME_SIGNAL_SECONDS
            self._signalled = now

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, handle)

    def _clean(self) -> None:
        """Prepare folders, and delete the metric files of an earlier run, which would be counted again."""
        (self.var / "metrics").mkdir(parents=True, exist_ok=True)
        for file in (self.var / "metrics").glob("*.db"):
            file.unlink()
        (self.var / "log").mkdir(mode=0o700, exist_ok=True)
        (self.var / "run").mkdir(exist_ok=True)
        socket_dir(self.var)
        logs.rotate(self.var / "log")

    def _banner(self) -> None:
        console.plain(f"DevOps Portal {__version__} in {BASE_DIR}")
        if any(unit.name == FETCH for unit in self.units):
            packages = ", ".join(debian.packages_for(self.stack.missing()))
            console.say(FETCH, f"fetching {packages} without root, while the rest starts")
        for unit in self.stack.units:
            if binaries.find("prometheus", self.var) is None and not debian.is_possible():
                console.say(unit, f"not on this machine. {debian.HOW_TO_GET_THEM}")
                break

    def _welcome(self) -> None:
        console.plain()
        web = next(unit for unit in self.units if unit.name == "Web")
        if web.available:
            console.plain(f"The portal: {self.url}/admin/")
        if self.progress.link:
            console.plain("Create the first administrator (this link works once, for 15 minutes):")
            console.plain(f"  {self.progress.link}")
        console.plain(f"Logs: {self.var / 'log'}. Ctrl-C stops everything.")


def _python(*words: str) -> list[str]:
    return [os.sys.executable, *words]  # type: ignore[attr-defined]


def _has_password(supervisor: Supervisor, name: str) -> bool:
    """True once the server exists; before that there is nothing to connect to."""
    secret = "postgres" if name == "DATABASE_URL" else "valkey"
    return (supervisor.var / "secrets" / secret).exists()


def _bind(environment: Mapping[str, str]) -> tuple[str, int]:
    """Return host and wanted port, from PORTAL_BIND and PORT; 0 means any free port."""
    host, _, port = environment.get("PORTAL_BIND", "").rpartition(":")
    written = environment.get("PORT") or port or str(ports.DEFAULT_WEB_PORT)
    usable = written.isascii() and written.isdigit()
    if not usable or int(written[:6]) > 65535:
        shown = written if len(written) <= 20 else f"{written[:20]}…"
        raise StartError(
            f"PORT is {shown!r}. Use a whole number from 1 to 65535, or 0 for any free port."
        )
    return host.strip("[]") or "127.0.0.1", int(written)


def _portal_url(given: str, host: str, port: int) -> str:
    """Return the configured URL, else the one the web server listens on."""
    if given:
        return given
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 - compared, not bound
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


def up(var: Path) -> int:
    """Run until a signal; return the exit code. Raises StartError or PlaceError."""
    os.chdir(BASE_DIR)
    if os.environ.pop("PORTAL_DIE_WITH_PARENT", ""):
        processes.die_with_parent()
    guard = Guard(var)
    try:
        return _entered(var, guard).run()
    finally:
        guard.leave()


def _entered(var: Path, guard: Guard) -> Supervisor:
    """Return the supervisor of this run. Raises StartError when its folder cannot be used."""
    try:
        guard.enter()
        return Supervisor(var, guard)
    except OSError as error:
        raise StartError(
            f"{error.filename or var} cannot be used: {error.strerror}. Make the account that runs the"
            " portal the owner of {var}, or set PORTAL_VAR to another folder."
        ) from error
