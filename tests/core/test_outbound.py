"""Connections of foreign libraries: the address rule and the deadline hold whoever opens them."""

import contextlib
import socket
import subprocess
import sys
import threading
import time

import pytest

from portal.core.outbound import guarded
from portal.core.sockets import ForbiddenAddressError, is_forbidden


@pytest.mark.parametrize(
    "address, forbidden",
    [
        ("169.254.169.254", True),
        ("::ffff:169.254.169.254", True),
        ("[fe80::1%eth0]", True),
        ("fd00:ec2::254", True),
        ("100.100.100.200", True),
        ("168.63.129.16", True),
        ("192.0.0.192", True),
        ("64:ff9b::169.254.169.254", True),
        ("2002:a9fe:a9fe::1", True),
        ("64:ff9b::192.0.2.1", False),
        ("2001:db8::169.254.169.254", False),
        ("127.0.0.1", False),
        ("10.0.0.1", False),
        ("metadata.example", False),
    ],
)
def test_addresses_that_are_never_asked(address: str, forbidden: bool) -> None:
    assert is_forbidden(address) is forbidden


def test_a_forbidden_address_is_refused_before_a_packet_is_sent() -> None:
    with guarded(5) as guard, socket.socket() as sock, pytest.raises(ForbiddenAddressError):
        sock.connect(("169.254.169.254", 80))
    assert guard.refused == "169.254.169.254"


def test_a_connection_is_shut_when_the_time_is_over() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        with guarded(0.5) as guard, socket.create_connection(silent.getsockname()) as sock:
            assert sock.recv(1) == b""
        assert guard.expired
        assert time.monotonic() - began < 5


def test_other_threads_are_left_alone() -> None:
    refused: list[BaseException] = []

    def connect() -> None:
        try:
            with socket.create_server(("127.0.0.1", 0)) as server:
                socket.create_connection(server.getsockname(), timeout=5).close()
        except OSError as error:
            refused.append(error)

    with guarded(0.01) as guard:
        guard.expire()
        thread = threading.Thread(target=connect)
        thread.start()
        thread.join(10)
    assert refused == []


def test_of_several_deadlines_each_comes_at_its_own_time() -> None:
    """The one that ends first is set last, while a thread waits for the others."""
    ended: dict[str, bool] = {}

    def wait(name: str, seconds: float) -> None:
        with (
            socket.create_server(("127.0.0.1", 0)) as silent,
            guarded(seconds) as guard,
            socket.create_connection(silent.getsockname()) as sock,
        ):
            sock.settimeout(3)
            with contextlib.suppress(TimeoutError):
                sock.recv(1)
            ended[name] = guard.expired

    threads = [
        threading.Thread(target=wait, args=facts) for facts in (("long", 60), ("short", 0.3))
    ]
    for thread in threads:
        thread.start()
    threads[1].join(20)
    threads[0].join(20)
    assert ended == {"long": False, "short": True}


def test_a_forked_process_keeps_its_own_deadlines() -> None:
    code = (
        "import os, socket\n"
        "from portal.core.outbound import guarded\n"
        "def wait():\n"
        "    with socket.create_server(('127.0.0.1', 0)) as silent, guarded(0.3) as guard:\n"
        "        with socket.create_connection(silent.getsockname(), timeout=20) as sock:\n"
        "            return sock.recv(1) == b'' and guard.expired\n"
        "assert wait()\n"
        "child = os.fork()\n"
        "if not child: os._exit(0 if wait() else 1)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_thousand_deliveries_need_one_thread() -> None:
    with guarded(60):
        before = threading.active_count()
    for _ in range(1000):
        with guarded(60):
            assert threading.active_count() <= before
