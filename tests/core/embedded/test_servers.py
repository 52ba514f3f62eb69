"""The pair of servers: started by the first user, stopped by the last, unharmed by kill -9."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from kombu import Connection

from portal import env
from portal.core import ratelimit
from portal.core.embedded import processes, run_environment
from portal.core.embedded.places import BASE_DIR
from portal.core.embedded.processes import StartError
from portal.core.embedded.servers import EmbeddedServers

BOTH = frozenset({"DATABASE_URL", "REDIS_URL"})


@pytest.fixture
def var() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="portal-servers-") as name:
        Path(name).chmod(0o755)
        yield Path(name) / "var"


def servers(var: Path) -> EmbeddedServers:
    return EmbeddedServers(var, unsafe=True, needs=BOTH)


def test_the_last_user_stops_them_and_the_next_finds_the_data(var: Path) -> None:
    first, second = servers(var), servers(var)
    urls = first.start()
    assert second.start() == urls
    with psycopg.connect(urls["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
    assert not first.alone()
    assert first.stop() is False
    assert second.alone()
    assert second.stop() is True
    assert second.postgres.pid() is None
    assert not second.valkey.answers()
    again = servers(var)
    try:
        with psycopg.connect(again.start()["DATABASE_URL"]) as connection:
            assert connection.execute("SELECT number FROM kept").fetchone() == (7,)
    finally:
        again.stop()


def test_they_run_from_a_checkout_of_any_name(var: Path) -> None:
    odd = var.parent / """it's, "a" b\\c%41é#?@:""" / "var"
    odd.parent.mkdir()
    running = servers(odd)
    urls = running.start()
    try:
        with psycopg.connect(urls["DATABASE_URL"]) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert redis.Redis.from_url(urls["REDIS_URL"]).ping()
        with Connection(env.celery_broker(urls["REDIS_URL"])) as broker:
            broker.ensure_connection(max_retries=1, timeout=5)
        assert ratelimit._limiter(urls["REDIS_URL"]).storage.check()
    finally:
        running.stop()
        place = running.postgres.place
        assert (place / "postgres" / "PG_VERSION").exists()
        if place != odd:  # root's, outside the checkout
            shutil.rmtree(place)


def test_redis_wants_the_password(var: Path) -> None:
    running = servers(var)
    url = running.start()["REDIS_URL"]
    try:
        assert redis.Redis.from_url(url).ping()
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(unix_socket_path=str(running.valkey.socket)).ping()
    finally:
        running.stop()


OWNER = """
import sys, time
from pathlib import Path
from portal.core.embedded.servers import EmbeddedServers
servers = EmbeddedServers(Path(sys.argv[1]), unsafe=True, needs=frozenset({"DATABASE_URL", "REDIS_URL"}))
servers.start(owned=True)
print(servers.postgres.pid(), servers.valkey.process.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="skipped: needs Linux's prctl")
def test_kill_9_of_the_owner_ends_them_and_the_next_start_works(var: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(var)], stdout=subprocess.PIPE, text=True, cwd=BASE_DIR
    )
    assert owner.stdout is not None
    pids = [int(word) for word in owner.stdout.readline().split()]
    owner.kill()
    owner.wait()
    owner.stdout.close()
    next_one = servers(var)
    try:
        urls = next_one.start()  # while the old ones may still be stopping
        with psycopg.connect(urls["DATABASE_URL"]) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert processes.wait_until(lambda: not any(map(processes.is_running, pids)), seconds=20)
        assert redis.Redis.from_url(urls["REDIS_URL"]).ping()
    finally:
        next_one.stop()


def test_a_stale_pid_file_of_another_program_is_no_obstacle(var: Path) -> None:
    first = servers(var)
    first.start()
    first.stop()
    account = first.postgres.account  # PostgreSQL fears only processes of its own account
    options = account.popen_options() if account else {}
    with subprocess.Popen(["sleep", "60"], cwd="/", **options) as stranger:
        (first.postgres.data / "postmaster.pid").write_text(f"{stranger.pid}\n")
        second = servers(var)
        try:
            second.start()
        finally:
            second.stop()
            assert stranger.poll() is None
            stranger.kill()


def test_a_broken_data_folder_is_a_sentence(var: Path) -> None:
    running = servers(var)
    running.start()
    running.stop()
    (running.postgres.data / "PG_VERSION").write_text("9.6\n")
    with pytest.raises(StartError, match=r"PostgreSQL did not start \(.*9\.6"):
        servers(var).start()


def test_what_up_chose_is_recalled_and_damage_is_forgotten(tmp_path: Path) -> None:
    assert run_environment.load(tmp_path) == {}
    run_environment.save(
        tmp_path, {"PORTAL_URL": "http://127.0.0.1:8001", "DATABASE_URL": "secret"}
    )
    assert run_environment.load(tmp_path) == {"PORTAL_URL": "http://127.0.0.1:8001"}
    (tmp_path / "chosen.json").write_text("[1")
    assert run_environment.load(tmp_path) == {}


def test_ending_kills_what_does_not_listen() -> None:
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
    deaf = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert deaf.stdout is not None
    deaf.stdout.readline()
    went = processes.end(deaf.pid, signal.SIGTERM, seconds=0.3)
    assert (went, deaf.wait(5)) == (False, -signal.SIGKILL)
    deaf.stdout.close()
    assert processes.end(deaf.pid, signal.SIGTERM, seconds=0.1) is True


def test_is_running_knows_zombies() -> None:
    child = subprocess.Popen(["true"])
    assert processes.wait_until(lambda: not processes.is_running(child.pid), seconds=10)
    assert os.waitpid(child.pid, 0)[0] == child.pid
    child.returncode = 0
