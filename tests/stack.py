"""Runs a real Alertmanager and Prometheus on free ports, for flow tests and benchmarks."""

import json
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from portal.core.embedded import binaries
from tests import debian_programs

START_SECONDS = 30
CONFIGURATION = """
route: {{receiver: portal, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}
receivers:
- name: portal
{webhook}
"""
WEBHOOK = """  webhook_configs:
  - url: {url}
    http_config: {{authorization: {{credentials: {token}}}}}
"""


def program(name: str) -> str:
    """Return the path of a program, fetched as by `up` if it is not installed; skip the test if that fails."""
    var = debian_programs.place()
    package = binaries.PROGRAMS[name][1]
    if binaries.find(name, var) is None:
        debian_programs.fetch(package, var, lambda: binaries.find(name, var) is not None)
    return str(binaries.find(name, var))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(condition: Callable[[], Any], complaint: str, seconds: float = START_SECONDS) -> Any:
    """Poll `condition` until it is true, and return its value; fail with `complaint` after the deadline."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, complaint
        time.sleep(0.05)
    return answer


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


@contextmanager
def running(argv: list[str], ready_url: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: answers(ready_url), f"{argv[0]} did not start")
        yield process
    finally:
        process.terminate()
        process.wait(timeout=20)


@contextmanager
def real_alertmanager(*, webhook: str = "", token: str = "", port: int = 0) -> Iterator[str]:
    """Yield the URL of a new Alertmanager; `webhook` is where it posts notifications."""
    path, port = program("alertmanager"), port or free_port()
    with tempfile.TemporaryDirectory() as folder:
        configuration = Path(folder) / "alertmanager.yml"
        hook = WEBHOOK.format(url=webhook, token=token) if webhook else ""
        configuration.write_text(CONFIGURATION.format(webhook=hook))
        argv = [path, f"--config.file={configuration}", f"--storage.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="]  # fmt: skip
        url = f"http://127.0.0.1:{port}"
        with running(argv, f"{url}/-/ready"):
            yield url


@contextmanager
def real_prometheus(folder: Path, configuration: str, *, port: int = 0) -> Iterator[str]:
    """Yield the URL of a new Prometheus with `configuration`; its files are in `folder`."""
    path, port = program("prometheus"), port or free_port()
    (folder / "prometheus.yml").write_text(configuration)
    argv = [path, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}", "--web.enable-lifecycle"]  # fmt: skip
    with running(argv, f"http://127.0.0.1:{port}/-/ready"):
        yield f"http://127.0.0.1:{port}"


def asked(url: str) -> Any:
    """Return the `data` of Prometheus's answer."""
    with urllib.request.urlopen(url, timeout=10) as reply:
        return json.load(reply)["data"]


def push(url: str, alerts: list[dict[str, Any]], *, batch: int = 1000) -> None:
    """Post alerts to an Alertmanager as a Prometheus would."""
    for start in range(0, len(alerts), batch):
        body = json.dumps(alerts[start : start + batch]).encode()
        request = urllib.request.Request(
            f"{url}/api/v2/alerts", body, {"Content-Type": "application/json"}
        )
        urllib.request.urlopen(request, timeout=60).close()
