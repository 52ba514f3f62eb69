"""A client that drips its request loses the connection; the thread is free for others."""

import json
import logging
import socket
import threading
import time
from dataclasses import dataclass
from typing import Any

import pytest
from gunicorn.http.errors import (  # type: ignore[import-untyped]
    InvalidRequestMethod,
    LimitRequestHeaders,
    LimitRequestLine,
)
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


@pytest.mark.parametrize(
    "error, status, words",
    [
        (LimitRequestLine(9000, 8190), 414, "Shorten its query."),
        (LimitRequestHeaders("too many"), 431, "fewer or shorter"),
        (InvalidRequestMethod("<b>"), 400, "'<b>'"),
        (RuntimeError("a secret"), 500, "An error occurred in the portal."),
    ],
)
def test_what_never_became_a_request_is_answered_by_a_problem(
    error: Exception, status: int, words: str
) -> None:
    ours, client = socket.socketpair()
    worker = BoundedThreadWorker.__new__(BoundedThreadWorker)
    worker.log = logging.getLogger("gunicorn")
    worker.handle_error(None, ours, ("192.0.2.1", 1), error)
    ours.close()
    head, _, body = client.makefile("rb").read().partition(b"\r\n\r\n")
    client.close()
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"Content-Type: application/problem+json" in head
    problem = json.loads(body)
    assert (problem["status"], words in problem["detail"]) == (status, True)
