"""The supervisor's parts by themselves: ports, logs, back-off, and the guard against a second run."""

import errno
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from portal.core.embedded.processes import StartError
from portal.supervisor import __main__ as supervisor
from portal.supervisor import guard as guards
from portal.supervisor import logs, ports
from portal.supervisor.guard import Guard
from portal.supervisor.run import Supervisor, _bind, _portal_url
from portal.supervisor.stack import Stack
from portal.supervisor.units import Child, Part


def test_a_taken_web_port_gives_the_next_free_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with ports.listen(port, "127.0.0.1") as found:
            assert port < found.getsockname()[1] <= port + ports.TRIED_AFTER_WANTED
    with ports.listen(port, "127.0.0.1") as again:
        assert again.getsockname()[1] == port


def test_port_0_gives_a_free_port_each_time() -> None:
    with ports.listen(0, "127.0.0.1") as one, ports.listen(0, "127.0.0.1") as other:
        found = {one.getsockname()[1], other.getsockname()[1]}
    assert len(found) == 2
    assert min(found) > 0


def test_private_ports_are_remembered_until_they_are_taken(tmp_path: Path) -> None:
    memory = tmp_path / "ports.json"
    first = ports.PrivatePorts(("a", "b"), memory)
    meanwhile = ports.PrivatePorts(("a", "b"), tmp_path / "other.json")
    assert not set(first.values()) & set(meanwhile.values())
    first.release()
    with socket.create_server(("127.0.0.1", first["a"])):
        moved = ports.PrivatePorts(("a", "b"), memory)
    assert moved["a"] != first["a"]
    assert moved["b"] == first["b"]
    moved.release()
    memory.write_text("{damaged")
    fresh = ports.PrivatePorts(("a", "b"), memory)
    assert len(set(fresh.values())) == 2
    fresh.release()
    meanwhile.release()


@pytest.mark.parametrize(
    "environment, expected",
    [
        ({}, ("127.0.0.1", 8000)),
        ({"PORT": "9000"}, ("127.0.0.1", 9000)),
        ({"PORTAL_BIND": "0.0.0.0:8080"}, ("0.0.0.0", 8080)),
        ({"PORT": "0"}, ("127.0.0.1", 0)),
        ({"PORTAL_BIND": "[::1]:8080", "PORT": "9000"}, ("::1", 9000)),
    ],
)
def test_where_the_web_server_listens(
    environment: dict[str, str], expected: tuple[str, int]
) -> None:
    assert _bind(environment) == expected


@pytest.mark.parametrize("port", ["http", "²", "70000", "-1", "8" * 5000])
def test_a_wrong_port_is_a_sentence(port: str) -> None:
    with pytest.raises(StartError, match="1 to 65535"):
        _bind({"PORT": port})


def test_the_url_follows_the_port_unless_it_is_given() -> None:
    assert _portal_url("", "127.0.0.1", 8001) == "http://127.0.0.1:8001"
    assert _portal_url("", "0.0.0.0", 8001) == "http://127.0.0.1:8001"
    assert _portal_url("", "::1", 8001) == "http://[::1]:8001"
    assert _portal_url("https://p.example", "::1", 1) == "https://p.example"


@pytest.mark.parametrize("host", ["192.0.2.1", "nowhere.invalid"])
def test_an_address_of_another_machine_is_not_said_to_be_taken(host: str) -> None:
    with pytest.raises(StartError, match=r"not an address of this machine.*Correct PORTAL_BIND"):
        ports.listen(18000, host)


def test_a_port_kept_for_root_is_not_said_to_be_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: socket.socket, _address: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    with pytest.raises(StartError, match=r"Port 80 is reserved for root.*above 1023"):
        ports.listen(80, "127.0.0.1")


def test_a_hundred_taken_ports_are_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "TRIED_AFTER_WANTED", 0)
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(StartError, match="are all taken"),
    ):
        ports.listen(taken.getsockname()[1], "127.0.0.1")


def started(monkeypatch: pytest.MonkeyPatch, var: Path) -> int:
    """Run `up` as far as it comes with `var`; its URLs are given, so nothing is started."""
    monkeypatch.setenv("PORTAL_VAR", str(var))
    monkeypatch.setenv("PORT", "18000")
    return supervisor.main()


def test_a_folder_that_cannot_be_used_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "var").write_text("a file, where a folder is needed")
    assert started(monkeypatch, tmp_path / "var") == 1
    said = capsys.readouterr().err
    assert f"{tmp_path}/var cannot be used: File exists." in said
    assert "PORTAL_VAR" in said


def test_root_without_an_account_for_postgresql_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nobody(_name: str) -> None:
        raise KeyError

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr("pwd.getpwnam", nobody)
    assert started(monkeypatch, tmp_path) == 1
    assert "neither a postgres nor a nobody account" in capsys.readouterr().err


@pytest.mark.parametrize(
    "given, units",
    [
        ((), ("node-exporter", "Alertmanager", "Prometheus")),
        (("PROMETHEUS_URL",), ("Alertmanager",)),
        (("ALERTMANAGER_URL_FILE",), ("node-exporter", "Prometheus")),
        (("PROMETHEUS_URL", "ALERTMANAGER_URL"), ()),
    ],
)
def test_what_is_given_is_not_started(given: tuple[str, ...], units: tuple[str, ...]) -> None:
    assert Stack.wanted(dict.fromkeys(given, "x")) == units


def test_servers_whose_urls_are_given_are_used_and_not_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("DATABASE_URL", "REDIS_URL", "PROMETHEUS_URL", "ALERTMANAGER_URL"):
        monkeypatch.setenv(name, f"given://{name.lower()}")
    monkeypatch.setenv("PORT", "0")
    monkeypatch.setenv("WEB_CONCURRENCY", "two")
    guard = Guard(tmp_path)
    guard.enter()
    run = Supervisor(tmp_path, guard)
    names = [unit.name for unit in run.units]
    assert names == ["PostgreSQL", "Redis", "Preparation", "Web", "Worker", "Beat"]
    for unit in run.units[:2]:
        unit.step(())
        unit.step(())  # it says so once
        assert unit.available
        unit.stop(lambda: False)
    said = capsys.readouterr().out
    assert said.count("used from DATABASE_URL") == said.count("used from REDIS_URL") == 1
    assert run.environment()["DATABASE_URL"] == "given://database_url"
    web = next(unit for unit in run.units if isinstance(unit, Child) and unit.name == "Web")
    assert web.part.environment()["WEB_CONCURRENCY"] == "2"
    run.listener.close()
    guard.leave()


def test_big_logs_are_rotated_once(tmp_path: Path) -> None:
    (tmp_path / "web.log").write_text("x" * 100)
    (tmp_path / "beat.log").write_text("x")
    assert logs.rotate(tmp_path, limit=50) == ["web.log"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["beat.log", "web.log.1"]


def child(code: str, tmp_path: Path, **over: object) -> tuple[Child, list[str]]:
    said: list[str] = []
    part = Part(
        name="Part", argv=lambda: [sys.executable, "-c", code], log=tmp_path / "part.log",
        ready=lambda: False, environment=lambda: os.environ, **over,  # type: ignore[arg-type]
    )  # fmt: skip
    return Child(part, lambda name, sentence: said.append(f"{name} {sentence}")), said


def step_until(unit: Child, done: object) -> None:
    assert callable(done)
    deadline = time.monotonic() + 20
    while not done() and time.monotonic() < deadline:
        unit.step(())
        time.sleep(0.01)
    assert done()


def test_a_part_that_keeps_dying_is_started_again_ever_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal.supervisor.units.BACK_OFF_SECONDS", (0, 0, 0.1))
    unit, said = child("import sys; sys.exit('port in use')", tmp_path)
    step_until(unit, lambda: unit.failures == 3)
    unit.stop(lambda: False)
    assert "ended with exit code 1 (port in use). Restarting it in 0 s." in said[0]
    assert "3 times in a row" in said[2]
    assert str(tmp_path / "part.log") in said[2]


def test_a_part_waits_for_what_it_needs(tmp_path: Path) -> None:
    unit, _said = child("", tmp_path, needs=("Other",), once=True)
    unit.step(())
    assert unit.process is None
    unit.step(("Other",))
    assert unit.process is not None
    step_until(unit, lambda: unit.available)


def test_a_part_that_does_not_stop_is_killed_with_its_children(tmp_path: Path) -> None:
    code = (
        "import os, signal, subprocess, sys, time; signal.signal(15, signal.SIG_IGN);"
        "p = subprocess.Popen(['sleep', '60']); print(p.pid, flush=True); time.sleep(60)"
    )
    unit, said = child(code, tmp_path, stop_seconds=0.2)
    log = tmp_path / "part.log"
    step_until(unit, lambda: log.exists() and log.read_text().endswith("\n"))
    grandchild = int(log.read_text())
    unit.stop(lambda: False)
    assert "killed" in said[-1]
    deadline = time.monotonic() + 5
    while Path(f"/proc/{grandchild}/cmdline").exists() and time.monotonic() < deadline:
        if not Path(f"/proc/{grandchild}/cmdline").read_bytes():
            break  # a zombie, which nobody has reaped yet
        time.sleep(0.01)
    else:
        assert not Path(f"/proc/{grandchild}").exists()


def test_a_program_that_is_missing_does_not_stop_the_others(tmp_path: Path) -> None:
    unit, said = child("", tmp_path)
    unit.part.__dict__["argv"] = lambda: ["/nowhere/program"]
    unit.step(())
    assert "cannot be run" in said[0]
    assert unit.settled


def test_a_second_run_is_refused_with_address_and_pid(tmp_path: Path) -> None:
    first, second = Guard(tmp_path), Guard(tmp_path)
    first.enter()
    first.note("running", "http://127.0.0.1:8000")
    with pytest.raises(StartError, match=rf"http://127.0.0.1:8000 \(pid {os.getpid()}\)"):
        second.enter()
    first.leave()
    second.enter()
    second.leave()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="skipped: needs Linux's /proc")
def test_what_an_earlier_run_has_left_is_ended_before_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(guards, "ORPHAN_SECONDS", 0.2)
    killed = Guard(tmp_path)
    killed.enter()
    held = [killed.inherited]
    left = subprocess.Popen(["sleep", "60"], pass_fds=held)  # its parent died without stopping it
    killed.leave()
    following = Guard(tmp_path)
    try:
        following.enter()
        assert left.wait(5) == -signal.SIGKILL
        assert (
            f"ending process {left.pid}, left over from an earlier run" in capsys.readouterr().out
        )
        assert following.leave() == []
    finally:
        left.kill()
        left.wait()
