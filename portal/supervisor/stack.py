"""Starts the local Prometheus, Alertmanager and node-exporter, with their files under `var/`.

Their configuration is docker/prometheus/ and docker/alertmanager/, unchanged except for the portal's
address; everything else that depends on the machine is in separate files in `targets/` and `secrets/`.
"""

import json
import os
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from portal import env
from portal.core.embedded import binaries, debian
from portal.core.embedded.places import BASE_DIR
from portal.core.embedded.processes import StartError
from portal.supervisor.ports import PrivatePorts
from portal.supervisor.units import Part

# Replaced in the files: neither Debian 12's Alertmanager (0.25) nor http_sd can read a URL from a file.
PORTAL_IN_CONFIGURATION = "http://portal:8000/"
# unit: program
PROGRAM_OF = {
    "node-exporter": "node_exporter",
    "Alertmanager": "alertmanager",
    "Prometheus": "prometheus",
}


def answers(port: int, path: str, host: str = "127.0.0.1") -> Callable[[], bool]:
    """Return a probe that is True when `path` on the local port answers 200."""

    def probe() -> bool:
        connection = HTTPConnection(host, port, timeout=2)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    return probe


@dataclass(frozen=True)
class Stack:
    """Which of the three programs we run, on which ports, and what they watch."""

    var: Path
    units: tuple[str, ...]
    ports: PrivatePorts
    portal: str  # host:port of the web server
    given_alertmanagers: tuple[str, ...] = ()

    @classmethod
    def wanted(cls, environment: Mapping[str, str]) -> tuple[str, ...]:
        """Return the units to run: those without a configured URL."""
        given = {n for n in ("PROMETHEUS_URL", "ALERTMANAGER_URL") if _is_set(n, environment)}
        units = []
        if "PROMETHEUS_URL" not in given:
            units.append("node-exporter")
        if "ALERTMANAGER_URL" not in given:
            units.append("Alertmanager")
        if "PROMETHEUS_URL" not in given:
            units.append("Prometheus")
        return tuple(units)

    def missing(self) -> list[str]:
        """Return the programs that are not installed."""
        programs = [PROGRAM_OF[unit] for unit in self.units]
        return [program for program in programs if binaries.find(program, self.var) is None]

    def urls(self) -> dict[str, str]:
        """Return the variables that point the portal to the programs that can run here."""
        names = {"Prometheus": "PROMETHEUS_URL", "Alertmanager": "ALERTMANAGER_URL"}
        missing = self.missing()
        return {
            variable: f"http://127.0.0.1:{self.ports[unit]}"
            for unit, variable in names.items()
            if unit in self.units and PROGRAM_OF[unit] not in missing
        }

    def parts(
        self, environment: Callable[[], Mapping[str, str]], needs: Collection[str]
    ) -> list[Part]:
        paths = {"node-exporter": "/", "Alertmanager": "/-/ready", "Prometheus": "/-/ready"}
        return [
            Part(
                name=unit,
                argv=lambda unit=unit: self._argv(unit),  # type: ignore[misc]
                log=self.var / "log" / f"{unit.lower()}.log",
                ready=answers(self.ports[unit], paths[unit]),
                environment=environment,
                needs=needs,
                detail=f"http://127.0.0.1:{self.ports[unit]}",
                stop_seconds=20,
            )
            for unit in self.units
        ]

    def _argv(self, unit: str) -> Sequence[str | os.PathLike[str]]:
        program = binaries.find(PROGRAM_OF[unit], self.var)
        if program is None:
            raise StartError(f"not on this machine. {debian.HOW_TO_GET_THEM}")
        self.ports.release(unit)
        address = f"--web.listen-address=127.0.0.1:{self.ports[unit]}"
        if unit == "node-exporter":
            return [program, address]
        assemble = (
            self._assemble_prometheus if unit == "Prometheus" else self._assemble_alertmanager
        )
        try:
            folder = assemble()
        except OSError as error:
            raise StartError(f"its files cannot be written: {error}.") from error
        # By default it uses the host's name for its own address, also in the links of its alerts.
        outside = f"--web.external-url=http://127.0.0.1:{self.ports[unit]}/"
        if unit == "Prometheus":
            return [program, address, outside, f"--config.file={folder}/prometheus.yml",
                    f"--storage.tsdb.path={folder}/data", "--storage.tsdb.retention.time=15d",
                    "--storage.tsdb.retention.size=2GB"]  # fmt: skip
        # An empty address disables clustering, which would open a public port.
        return [program, address, outside, f"--config.file={folder}/alertmanager.yml",
                f"--storage.path={folder}/data", "--cluster.listen-address="]  # fmt: skip

    def _assemble_prometheus(self) -> Path:
        folder = self.var / "prometheus"
        source = BASE_DIR / "docker" / "prometheus"
        shutil.rmtree(folder / "rules", ignore_errors=True)
        shutil.copytree(source / "rules", folder / "rules")
        (folder / "prometheus.yml").write_text(self._with_our_address(source / "prometheus.yml"))
        for job, targets in self._targets().items():
            _write(folder / "targets" / f"{job}.yml", _file_sd(targets))
        given = env.raw("METRICS_TOKEN")
        token = given or (self.var / "secrets" / "metrics_token").read_text()
        _write(folder / "secrets" / "metrics_token", token)
        return folder

    def _with_our_address(self, source: Path) -> str:
        text = source.read_text()
        assert PORTAL_IN_CONFIGURATION in text
        return text.replace(PORTAL_IN_CONFIGURATION, f"http://{self.portal}/")

    def _targets(self) -> dict[str, list[str]]:
        ours = {unit: [f"127.0.0.1:{self.ports[unit]}"] for unit in self.units}
        given = [
            urlsplit(url).netloc for url in self.given_alertmanagers if url.startswith("http://")
        ]
        return {
            "portal": [self.portal],
            "prometheus": ours.get("Prometheus", []),
            "alertmanager": ours.get("Alertmanager", given),
            "node": ours.get("node-exporter", []),
        }

    def _assemble_alertmanager(self) -> Path:
        folder = self.var / "alertmanager"
        source = BASE_DIR / "docker" / "alertmanager" / "alertmanager.yml"
        _write(folder / "alertmanager.yml", self._with_our_address(source))
        token = (self.var / "secrets" / "alertmanager_webhook").read_text()
        _write(folder / "secrets" / "portal_token", token)
        return folder


def _file_sd(targets: list[str]) -> str:
    """Return a file for Prometheus's file_sd; JSON is valid YAML."""
    return json.dumps([{"targets": targets}] if targets else []) + "\n"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)
    path.write_text(text)


def _is_set(name: str, environment: Mapping[str, str]) -> bool:
    return bool(environment.get(name) or environment.get(f"{name}_FILE"))
