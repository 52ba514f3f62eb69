"""Docker Compose itself accepts the file; that needs its client alone, no engine and no image."""

import os
import re
import shutil
import subprocess
from functools import cache

import pytest
import yaml

from tests.docker.files import DOCKER, profiles, services


@cache
def client() -> list[str]:
    """Return the command; the test is skipped where there is none."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]):
            asked = subprocess.run(
                [*command, "version", "--short"], capture_output=True, text=True, check=False
            )
            version = re.match(r"v?(\d+)\.(\d+)", asked.stdout)
            if version and (int(version[1]), int(version[2])) >= (2, 24):
                return command
    pytest.skip("skipped: no Docker Compose 2.24 or newer to read compose.yml with.")


@pytest.mark.parametrize(
    "given, more",
    [([], set()), (["--profile", "dashboards"], {"dashboards"}), (["--profile", "logs"], {"logs"}),
     (["--profile", "traces"], {"traces"}),
     (["--env-file", str(DOCKER / "full.env")], {"dashboards", "logs", "traces"})],
    ids=["core", "dashboards", "logs", "traces", "full.env"],
)  # fmt: skip
def test_compose_accepts_the_file(given: list[str], more: set[str]) -> None:
    command = [*client(), "--file", str(DOCKER / "compose.yml"), *given, "config"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COMPOSE_")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    found = set(yaml.safe_load(done.stdout)["services"])
    assert found == {name for name, each in services().items() if profiles(each) <= more}
