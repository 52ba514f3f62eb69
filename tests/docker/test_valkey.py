"""Real Valkey starts with the container's file, asks for its password, and evicts nothing."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from portal.core.embedded.valkey import _binary
from tests.docker import files
from tests.docker.files import DOCKER, services
from tests.stack import free_port, until


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[redis.Redis]:
    """Run it with the paths of this test in place of the container's."""
    template = files.script("make_secrets").VOLUMES["secrets-valkey"].files["auth.conf"]
    (tmp_path / "auth.conf").write_text(template.format(valkey_password="pass-word"))
    text = (DOCKER / "valkey" / "valkey.conf").read_text()
    text = text.replace("/run/secrets/", f"{tmp_path}/").replace("dir /data", f"dir {tmp_path}")
    port = free_port()
    text = text.replace("bind * -::*", "bind 127.0.0.1").replace("port 6379", f"port {port}")
    (tmp_path / "valkey.conf").write_text(text)
    command = [str(_binary()), str(tmp_path / "valkey.conf")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=tmp_path)
    client = redis.Redis(port=port, password="pass-word")
    try:
        until(lambda: pings(client), "Valkey did not start")
        yield client
    finally:
        client.close()
        process.terminate()
        process.wait(timeout=20)


def pings(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def test_it_asks_for_the_password_and_evicts_nothing(valkey: redis.Redis) -> None:
    assert valkey.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"
    assert valkey.config_get("appendonly")["appendonly"] == "yes"
    stranger = redis.Redis(port=valkey.connection_pool.connection_kwargs["port"])
    with pytest.raises(redis.AuthenticationError):
        stranger.ping()
    stranger.close()


def test_its_memory_is_below_the_limit_of_the_container(valkey: redis.Redis) -> None:
    limit = services()["valkey"]["deploy"]["resources"]["limits"]["memory"]
    # The rest is for the copy on write while the append-only file is rewritten.
    assert (
        int(str(valkey.config_get("maxmemory")["maxmemory"])) < int(limit.removesuffix("m")) << 20
    )


def test_the_health_check_keeps_the_password_out_of_its_arguments(tmp_path: Path) -> None:
    """The same line of shell, with a `valkey-cli` that writes down how it was called."""
    (tmp_path / "password").write_text("pass-word")
    cli = tmp_path / "valkey-cli"
    cli.write_text(
        f'#!/bin/sh\necho "$*" > {tmp_path}/arguments\ncat > {tmp_path}/input\necho PONG\n'
    )
    cli.chmod(0o755)
    (line,) = services()["valkey"]["healthcheck"]["test"][1:]
    command = ["sh", "-c", line.replace("/run/secrets", str(tmp_path))]
    path = f"{tmp_path}:{Path(shutil.which('grep') or '').parent}"
    assert subprocess.run(command, env={"PATH": path}, check=False).returncode == 0
    assert (tmp_path / "arguments").read_text() == "\n"
    assert (tmp_path / "input").read_text() == "AUTH pass-word\nPING\n"
