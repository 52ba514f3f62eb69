"""A real Prometheus with node-exporter on free ports, optionally with a past to draw."""

import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.stack import free_port, program, until

CONFIGURATION = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: prometheus
    static_configs: [{{targets: ["127.0.0.1:{prometheus}"]}}]
  - job_name: node
    static_configs: [{{targets: ["127.0.0.1:{node}"]}}]
"""
JOB = """  - job_name: {job}
    static_configs: [{{targets: ["{target}"]}}]
"""


@contextmanager
def _running(argv: list[str], ready_url: str) -> Iterator[None]:
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: _answers(ready_url), f"{argv[0]} did not start")
        yield
    finally:
        process.terminate()
        process.wait(timeout=20)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@contextmanager
def real_prometheus(past: str = "", jobs: Mapping[str, str] | None = None) -> Iterator[str]:
    """Yield the URL of a Prometheus that scrapes itself and a node-exporter every second.

    `past` is history in OpenMetrics text, for which promtool is needed; `jobs` are further jobs
    with the address of their one target.
    """
    prometheus, exporter = program("prometheus"), program("node_exporter")
    port, node = free_port(), free_port()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        more = "".join(JOB.format(job=job, target=target) for job, target in (jobs or {}).items())
        written = CONFIGURATION.format(prometheus=port, node=node) + more
        (folder / "prometheus.yml").write_text(written)
        if past:
            _backfill(past, folder)
        exporting = [exporter, f"--web.listen-address=127.0.0.1:{node}"]
        stack.enter_context(_running(exporting, f"http://127.0.0.1:{node}/"))
        scraping = [
            prometheus,
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            "--storage.tsdb.retention.time=30d",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        stack.enter_context(_running(scraping, f"http://127.0.0.1:{port}/-/ready"))
        yield f"http://127.0.0.1:{port}"


def _backfill(past: str, folder: Path) -> None:
    (folder / "past.txt").write_text(past)
    blocks = [
        program("promtool"),
        "tsdb",
        "create-blocks-from",
        "openmetrics",
        f"{folder}/past.txt",
        f"{folder}/data",
    ]
    subprocess.run(blocks, check=True, capture_output=True, timeout=120)
