"""A pytest plugin that starts a throw-away PostgreSQL and Redis for the run, shared by all xdist workers."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from portal.core.embedded import EmbeddedServers
from portal.core.embedded.places import BASE_DIR


def _start() -> None:
    """Start separate servers (never the developer's), and point the environment to them."""
    parent = BASE_DIR / "var" / "tests"
    parent.mkdir(parents=True, exist_ok=True)
    os.environ["PORTAL_DEBIAN_VAR"] = os.environ.get("PORTAL_VAR") or str(BASE_DIR / "var")
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=parent))
    os.environ["PORTAL_VAR"] = str(folder)
    servers = EmbeddedServers(folder, unsafe=True)

    def stop() -> None:
        servers.stop(even_if_used=True)
        place = servers.postgres.place
        shutil.rmtree(folder, ignore_errors=True)
        if place != folder:
            shutil.rmtree(place, ignore_errors=True)

    atexit.register(stop)
    os.environ.update(servers.start(owned=True))


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests() -> Generator[None]:
    """Start the servers before pytest-django reads the settings; xdist workers inherit the environment."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        _start()
    return (yield)
