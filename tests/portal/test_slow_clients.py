"""A client that drips its request loses the connection; the thread is free for others."""

import socket
import threading
import time
from dataclasses import dataclass
from typing import Any

import pytest
from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

from portal.web_worker import BoundedThreadWorker


def test_a_request_that_never_ends_is_cut_off_and_its_answer_still_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours, client = socket.socketpair()

    def read_all(_self: Any, conn: Any) -> None:
        while conn.sock.recv(100):
            pass
        conn.sock.sendall(b"400")

    monkeypatch.setattr(ThreadWorker, "handle", read_all)
    worker = BoundedThreadWorker.__new__(BoundedThreadWorker)
    worker.began = {}
    thread = threading.Thread(target=worker.handle, args=(Connection(sock=ours),))
    thread.start()
    client.sendall(b"P")
    deadline = time.monotonic() + 10
    while not worker.began and time.monotonic() < deadline:
        time.sleep(0.01)
    worker.stop_reading(before=time.monotonic() - 5)
    thread.join(0.2)
    assert thread.is_alive()
    worker.stop_reading(before=time.monotonic() + 1)
    thread.join(10)
    assert (client.recv(10), worker.began) == (b"400", {})
    ours.close()
    client.close()


@dataclass(eq=False)
class Connection:
    sock: socket.socket
