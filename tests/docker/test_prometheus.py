"""Real Prometheus and Alertmanager start with exactly the files of the containers."""

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.docker import files
from tests.docker.files import DOCKER, is_path, mounts, services, yaml_of
from tests.docker.queries import QUERIES, metrics_asked_for
from tests.stack import free_port, program, running, until


def laid_out(service: str, folder: Path, token: str) -> Path:
    """Lay the files of `service` out as compose.yml mounts them; return the configuration folder."""
    inside = folder / service
    for source, target, _writable in mounts(services()[service]):
        if not target.startswith(f"/etc/{service}"):
            continue
        place = inside / Path(target).relative_to(f"/etc/{service}")
        place.parent.mkdir(parents=True, exist_ok=True)
        if not is_path(source):
            place.mkdir()
            (place / token).write_text("not a secret")
        elif (origin := files.repository_file(source)).is_dir():
            shutil.copytree(origin, place)
        else:
            shutil.copyfile(origin, place)
    return inside


@contextmanager
def started(service: str, folder: Path, token: str, *words: str) -> Iterator[str]:
    port = free_port()
    argv = [program(service), f"--config.file={laid_out(service, folder, token)}/{service}.yml",
            f"--web.listen-address=127.0.0.1:{port}", *words]  # fmt: skip
    with running(argv, f"http://127.0.0.1:{port}/-/ready"):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("prometheus")
    with started(
        "prometheus", folder, "metrics_token", f"--storage.tsdb.path={folder}/data"
    ) as url:
        yield url


def ask(url: str, path: str, **parameters: str) -> Any:
    query = urllib.parse.urlencode(parameters)
    try:
        with urllib.request.urlopen(f"{url}{path}?{query}", timeout=10) as reply:
            return json.load(reply)
    except urllib.error.HTTPError as error:
        return json.load(error)


def test_the_containers_have_the_common_file_and_the_jobs_of_the_profiles() -> None:
    common, ours = yaml_of("prometheus/prometheus.yml"), yaml_of("prometheus/compose.yml")
    own = [job for job in ours["scrape_configs"] if "dns_sd_configs" in job]
    ours["scrape_configs"] = [job for job in ours["scrape_configs"] if job not in own]
    assert ours == common
    for job in own:
        names = [name for found in job["dns_sd_configs"] for name in found["names"]]
        # A name that does not resolve is no target; one that is always there belongs into targets/.
        assert all(services()[name].get("profiles") for name in names)


def test_every_target_is_a_service_of_the_stack() -> None:
    common = yaml_of("prometheus/prometheus.yml")
    wanted = {
        file
        for job in [*common["scrape_configs"], *common["alerting"]["alertmanagers"]]
        for found in job.get("file_sd_configs", ())
        for file in found["files"]
    }
    folder = DOCKER / "prometheus" / "targets"
    assert {f"targets/{path.name}" for path in folder.iterdir()} == wanted
    for path in folder.iterdir():
        for group in yaml_of(f"prometheus/targets/{path.name}"):
            assert all(target.split(":")[0] in services() for target in group["targets"])


@pytest.mark.stack
def test_prometheus_starts_with_the_files_of_the_container(prometheus: str) -> None:
    wanted = {"portal", "prometheus", "alertmanager", "node"}
    until(
        lambda: wanted <= {t["scrapePool"] for t in ask(prometheus, "/api/v1/targets")["data"]["activeTargets"]},
        "the targets of docker/prometheus/targets were not read",
    )  # fmt: skip
    groups = ask(prometheus, "/api/v1/rules")["data"]["groups"]
    assert {group["name"] for group in groups} == {
        path.stem for path in (DOCKER / "prometheus" / "rules").iterdir()
    }


@pytest.mark.stack
def test_alertmanager_starts_with_the_files_of_the_container(tmp_path: Path) -> None:
    with started(
        "alertmanager", tmp_path, "portal_token", f"--storage.path={tmp_path}/data", "--cluster.listen-address="
    ) as url:  # fmt: skip
        configuration = ask(url, "/api/v2/status")["config"]["original"]
    # From 0.28 on the URL of a webhook counts as a secret.
    url = r"(http://portal:8000/api/v1/hooks/alertmanager/alertmanager/|<secret>)"
    assert re.search(rf"webhook_configs:.*?\n\s+url: {url}\n", configuration, re.S)


@pytest.mark.stack
@pytest.mark.parametrize("where, query", QUERIES, ids=[where for where, _ in QUERIES])
def test_prometheus_understands_every_query_of_the_dashboards(
    where: str, query: str, prometheus: str
) -> None:
    reply = ask(prometheus, "/api/v1/query", query=query)
    assert reply["status"] == "success", reply.get("error")


@pytest.mark.stack
def test_a_query_with_a_fault_is_noticed(prometheus: str) -> None:
    assert ask(prometheus, "/api/v1/query", query="sum(rate(up[5m])")["status"] == "error"


def told(url: str) -> set[str]:
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as reply:
        return set(re.findall(r"^# TYPE (\w+)", reply.read().decode(), re.M))


OF_SOME_MACHINES: dict[str, Callable[[], object]] = {
    "_pressure_": Path("/proc/pressure/cpu").exists,
    "_filesystem_": lambda: re.search(r"^/dev/", Path("/proc/mounts").read_text(), re.M),
}


@pytest.mark.stack
def test_the_dashboards_ask_for_metrics_that_exist(prometheus: str, tmp_path: Path) -> None:
    asked = metrics_asked_for("prometheus")  # some are there once it has found the Alertmanager
    until(lambda: asked <= told(prometheus), f"not all of {sorted(asked)} were told")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with running([program("node_exporter"), f"--web.listen-address=127.0.0.1:{port}"], url):
        there = told(url)
    words = [f"--storage.path={tmp_path}/data", "--cluster.listen-address="]
    with started("alertmanager", tmp_path, "portal_token", *words) as alertmanager:
        assert metrics_asked_for("alertmanager") - told(alertmanager) == set()
    # A kernel without pressure stall information, a chroot without a mounted disk: none of these.
    parts = [part for part, is_there in OF_SOME_MACHINES.items() if not is_there()]
    optional = {name for name in metrics_asked_for("node") if any(part in name for part in parts)}
    assert metrics_asked_for("node") - optional - there == set()


def test_the_checks_of_make_check_cover_the_files_of_the_containers() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHECK.format(str(DOCKER / "check_configuration.py"))],
        capture_output=True, text=True, check=False, env=dict(os.environ),
    )  # fmt: skip
    assert "compose.yml" in done.stdout, done.stderr


# Which files are handed to promtool and amtool, without having to have them.
CHECK = """
import runpy, subprocess
subprocess.run = lambda argv, **_: print(*argv) or subprocess.CompletedProcess(argv, 0, "", "")
import shutil
shutil.which = lambda name: name
try:
    runpy.run_path({!r}, run_name="__main__")
except SystemExit:
    pass
"""
