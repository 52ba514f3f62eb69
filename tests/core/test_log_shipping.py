"""Lines to a real TCP receiver: complete while it works, never in anybody's way while it does not."""

import json
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.test import Client
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from portal.core import log_shipping
from portal.core.embedded.places import BASE_DIR
from portal.core.log_lines import LineFormatter
from portal.core.log_shipping import LogstashHandler
from tests.core.hostile import certificate
from tests.log_receiver import Receiver, until

Make = Callable[[str], logging.Logger]


def counted(name: str) -> float:
    return REGISTRY.get_sample_value(f"portal_log_lines_{name}_total", {"sink": "logstash"}) or 0.0


@pytest.fixture
def make_log(monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Return a function that gives a logger writing to a URL only; pauses are short."""
    monkeypatch.setattr(log_shipping, "FIRST_PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(log_shipping, "LONGEST_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(log_shipping, "EXIT_SECONDS", 0.3)
    made: list[LogstashHandler] = []

    def make(url: str) -> logging.Logger:
        handler = LogstashHandler(url)
        handler.setFormatter(LineFormatter())
        handler.shipper.pause_seconds = 0.02
        log = logging.Logger(f"shipped-{len(made)}")
        log.addHandler(handler)
        made.append(handler)
        return log

    yield make
    for handler in made:
        handler.close()


@pytest.fixture
def receivers() -> Iterator[list[Receiver]]:
    started: list[Receiver] = []
    yield started
    for receiver in started:
        receiver.stop()


def numbers(receiver: Receiver) -> list[int]:
    return [json.loads(line)["n"] for line in receiver.lines]


def say(log: logging.Logger, *wanted: int) -> None:
    for number in wanted:
        log.info("line %s", number, extra={"n": number})


def test_every_line_arrives_in_order_as_ecs_json(make_log: Make, receivers: list[Receiver]) -> None:
    receivers.append(receiver := Receiver())
    shipped = counted("shipped")
    say(make_log(receiver.url), *range(1000))
    until(lambda: len(receiver.lines) == 1000, "lines are missing")
    assert numbers(receiver) == list(range(1000))
    first = json.loads(receiver.lines[0])
    assert (first["message"], first["service.name"]) == ("line 0", "devops-portal")
    until(lambda: counted("shipped") == shipped + 1000, "not counted")


def test_lines_wait_for_a_receiver_that_is_absent(
    make_log: Make, receivers: list[Receiver]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    say(make_log(f"tcp://127.0.0.1:{port}"), *range(20))
    receivers.append(receiver := Receiver(port=port))
    until(lambda: numbers(receiver) == list(range(20)), "lines are missing")


def test_a_receiver_that_restarts_gets_what_came_meanwhile(
    make_log: Make, receivers: list[Receiver]
) -> None:
    receivers.append(first := Receiver())
    log = make_log(first.url)
    say(log, 1)
    until(lambda: numbers(first) == [1], "the first line is missing")
    first.stop()
    say(log, 2, 3)
    receivers.append(second := Receiver(port=first.port))
    until(lambda: numbers(second) == [2, 3], "the lines of the pause are missing")


def test_a_line_cut_off_in_the_middle_is_sent_again_whole(
    make_log: Make, receivers: list[Receiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    receivers.append(receiver := Receiver(cut_after=40))
    log = make_log(receiver.url)
    log.info("x" * 50_000, extra={"n": 0})
    until(lambda: len(receiver.received) >= 1, "no connection")
    for number in range(1, 200):  # what the kernel took before it knew is lost; what follows is not
        say(log, number)
        if 199 in numbers(receiver):
            break
        time.sleep(0.001)
    until(lambda: 199 in numbers(receiver), "nothing arrives after the cut")
    arrived = numbers(receiver)
    assert arrived == sorted(set(arrived))


@pytest.mark.parametrize("bound, most", [("QUEUE_LINES", 100), ("QUEUE_BYTES", 2_000_000)])
def test_a_full_queue_drops_and_counts(
    make_log: Make, receivers: list[Receiver], monkeypatch: pytest.MonkeyPatch, bound: str, most: int
) -> None:  # fmt: skip
    monkeypatch.setattr(log_shipping, bound, most)
    receivers.append(receiver := Receiver(deaf=True))
    dropped = counted("dropped")
    log = make_log(receiver.url)
    # 40 MB: more than the socket's buffers (10 MB at most) and the one bound together take.
    for _ in range(2000):
        log.info("y" * 20_000)
    assert counted("dropped") - dropped > 1100


def test_a_hung_receiver_costs_a_caller_no_more_than_a_working_one(
    make_log: Make, receivers: list[Receiver]
) -> None:
    receivers += [working := Receiver(), hung := Receiver(deaf=True)]
    logs = {receiver: make_log(receiver.url) for receiver in (working, hung)}
    took: dict[Receiver, list[float]] = {working: [], hung: []}
    for _ in range(2000):
        for receiver, log in logs.items():
            began = time.perf_counter()
            log.info("z" * 3000)
            took[receiver].append(time.perf_counter() - began)
    median = {receiver: sorted(times)[len(times) // 2] for receiver, times in took.items()}
    assert median[hung] < 3 * median[working]
    assert max(took[hung]) < 20 * max(max(took[working]), 0.01)


def test_a_receiver_that_takes_nothing_is_left_and_asked_anew(
    make_log: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_shipping, "STALLED_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        deaf.settimeout(20)
        log = make_log(f"tcp://127.0.0.1:{deaf.getsockname()[1]}")
        for _ in range(500):
            log.info("w" * 20_000)
        first, _ = deaf.accept()
        second, _ = deaf.accept()
        for connection in (first, second):
            connection.close()


@pytest.mark.django_db
def test_a_hung_receiver_delays_no_request(
    make_log: Make, receivers: list[Receiver], client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    receivers.append(hung := Receiver(deaf=True))
    (handler,) = make_log(hung.url).handlers
    for _ in range(2000):  # more than the socket and the queue take
        handler.handle(logging.makeLogRecord({"msg": "w" * 20_000, "levelno": logging.INFO}))
    access = logging.getLogger("portal.access")
    took: dict[bool, list[float]] = {False: [], True: []}
    for number in range(120):
        ships = bool(number % 2)
        access.handlers = [handler] if ships else []
        began = time.perf_counter()
        assert client.get("/admin/login/").status_code == 200
        took[ships].append(time.perf_counter() - began)
    access.handlers = []
    median = {ships: sorted(times)[len(times) // 2] for ships, times in took.items()}
    assert median[True] < 1.5 * median[False]


def test_tls_checks_the_receivers_certificate(
    make_log: Make, receivers: list[Receiver], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, authority = certificate(tmp_path)
    receivers.append(receiver := Receiver(tls=context))
    say(make_log(receiver.url), 1)
    until(lambda: len(receiver.connections) > 1, "no second attempt")
    assert receiver.lines == []
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    say(make_log(receiver.url), 2, 3)
    until(lambda: numbers(receiver) == [2, 3], "lines are missing")


def test_a_line_above_the_limit_is_cut_marked_and_still_json() -> None:
    record = logging.LogRecord("big", logging.INFO, "f", 1, "é" * 200_000, None, None)
    record.__dict__.update({f"field{n}": "ü" * 5000 for n in range(40)})
    line = LineFormatter().format(record)
    assert len(line) < 64 * 1024
    decoded = json.loads(line)
    assert decoded["portal.truncated"] is True
    assert decoded["message"].endswith("characters cut]")
    assert decoded["@timestamp"]


def test_its_own_trouble_is_said_once_and_not_logged(
    make_log: Make, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    log = make_log("tcp://127.0.0.1:9")
    say(log, *range(5))
    told = ""

    def was_told() -> bool:
        nonlocal told
        told += capsys.readouterr().err
        return "Connection refused" in told

    until(was_told, "nothing was said")
    time.sleep(0.2)  # several further attempts, all silent
    assert (told + capsys.readouterr().err).count("LOGSTASH_URL):") == 1
    assert not caplog.records


def test_what_cannot_be_formatted_raises_nothing(make_log: Make) -> None:
    dropped = counted("dropped")
    make_log("tcp://127.0.0.1:9").info("%d", "no number")
    assert counted("dropped") == dropped + 1


FORKING = """
import logging, os, sys, time
from portal.core.log_lines import LineFormatter
from portal.core.log_shipping import LogstashHandler
handler = LogstashHandler(sys.argv[1])
handler.setFormatter(LineFormatter())
logging.basicConfig(level="INFO", handlers=[handler])
logging.info("parent", extra={"n": 0})
children = []
for n in range(1, 5):
    pid = os.fork()
    if not pid:
        logging.info("child", extra={"n": n})
        logging.shutdown()
        os._exit(0)
    children.append(pid)
for pid in children:
    os.waitpid(pid, 0)
"""


def test_each_process_of_a_fork_sends_its_own_lines_once(
    receivers: list[Receiver], tmp_path: Path
) -> None:
    receivers.append(receiver := Receiver())
    subprocess.run(
        [sys.executable, "-c", FORKING, receiver.url], cwd=BASE_DIR, check=True, timeout=30,
        env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
    )  # fmt: skip
    until(lambda: len(receiver.lines) >= 5, "lines are missing")
    assert sorted(numbers(receiver)) == [0, 1, 2, 3, 4]
    assert len(receiver.connections) == 5
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(tmp_path))  # type: ignore[no-untyped-call]
    summed = registry.get_sample_value("portal_log_lines_shipped_total", {"sink": "logstash"})
    assert summed == 5


ENDING = FORKING.split("children = []")[0]


@pytest.mark.parametrize("deaf", [False, True], ids=["working", "hung"])
def test_the_end_of_a_process_waits_two_seconds_at_most(
    receivers: list[Receiver], deaf: bool
) -> None:
    receivers.append(receiver := Receiver(deaf=deaf))
    filling = ENDING + "for n in range(3000): logging.info('x' * 4000, extra={'n': n})\n"
    script = (
        f"{filling}began = time.monotonic(); logging.shutdown(); print(time.monotonic() - began)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, receiver.url], cwd=BASE_DIR, check=True, timeout=60, capture_output=True
    )  # fmt: skip
    assert float(ended.stdout) < log_shipping.EXIT_SECONDS + 1
    if not deaf:
        until(lambda: len(receiver.lines) == 3001, "lines are missing")
