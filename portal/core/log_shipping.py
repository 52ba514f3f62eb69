"""Sends log lines to Logstash's TCP input without ever making a caller wait.

A caller only puts a line into a bounded queue; when that is full, the line is dropped and counted. One
thread per process connects and sends; the first line starts it, so that each forked process has its own.
"""

import contextlib
import json
import logging
import os
import select
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from urllib.parse import urlsplit

from prometheus_client import Counter

from portal.core.log_lines import DROPPED, SHIPPED

QUEUE_LINES = 10_000
QUEUE_BYTES = 16 * 1024 * 1024
BATCH_LINES = 200
CONNECT_SECONDS = 5.0
STALLED_SECONDS = 30.0  # disconnect from a receiver that accepts nothing for this long
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
EXIT_SECONDS = 2.0
COMPLAIN_SECONDS = 60.0
SINK = "logstash"

# A child must not inherit the counters' lock held by a thread that does not exist in it.
_counting = threading.Lock()
os.register_at_fork(
    before=_counting.acquire,
    after_in_parent=_counting.release,
    after_in_child=_counting.release,
)


@dataclass
class Shipper:
    """The queue and the thread of one process.

    Callers use only the queue's reentrant `put`. Each counter has one writer: `put_*` the callers,
    under the lock of their handler, and `taken_*` the thread.
    """

    host: str
    port: int
    context: ssl.SSLContext | None
    pid: int = field(default_factory=os.getpid)
    queue: "SimpleQueue[bytes]" = field(default_factory=SimpleQueue)
    put_lines: int = 0
    put_bytes: int = 0
    taken_lines: int = 0
    taken_bytes: int = 0
    lost: int = 0
    connection: socket.socket | None = None
    stopping: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None
    patience_ends: float | None = None
    complained_at: float = -COMPLAIN_SECONDS
    pause_seconds: float = FIRST_PAUSE_SECONDS

    def put(self, line: bytes) -> bool:
        """Queue one line; False when there is no room for it."""
        if (
            self.put_lines - self.taken_lines >= QUEUE_LINES
            or self.put_bytes - self.taken_bytes + len(line) > QUEUE_BYTES
        ):
            return False
        self.queue.put(line)
        self.put_lines += 1
        self.put_bytes += len(line)
        if self.thread is None:
            self.thread = threading.Thread(target=self._work, name="log-shipping", daemon=True)
            self.thread.start()
        return True

    def drain(self, seconds: float) -> None:
        """Wait until everything queued is sent or dropped: `seconds` at most in total, over repeated calls."""
        if self.patience_ends is None:
            self.patience_ends = time.monotonic() + seconds
        while self.taken_lines < self.put_lines and time.monotonic() < self.patience_ends:
            time.sleep(0.01)
        if self.taken_lines >= self.put_lines:
            self.patience_ends = None

    def _work(self) -> None:
        while not (self.stopping.is_set() and self.taken_lines >= self.put_lines):
            with contextlib.suppress(Empty):
                batch = [self.queue.get(timeout=1.0)]
                with contextlib.suppress(Empty):
                    while len(batch) < BATCH_LINES:
                        batch.append(self.queue.get_nowait())
                self._deliver(batch)
        self._disconnect()

    def _deliver(self, batch: list[bytes]) -> None:
        """Send the lines; after a failure, resume at the first unsent one. Gives up only when the process ends."""
        sent = 0
        while sent < len(batch):
            try:
                for done in self._sent(batch[sent:]):
                    sent += 1
                    self._count(SHIPPED, done)
            except Exception as error:  # if the thread died, all later lines would be lost
                self._disconnect()
                self._complain(str(error))
                if self.stopping.is_set():
                    break
                self.stopping.wait(self.pause_seconds)
                self.pause_seconds = min(self.pause_seconds * 2, LONGEST_PAUSE_SECONDS)
        for line in batch[sent:]:
            self._count(DROPPED, line)

    def _count(self, counter: Counter, line: bytes) -> None:
        """Count a line before marking it as taken: the process may end as soon as none are left."""
        with _counting:
            counter.labels(SINK).inc()
        self.taken_lines += 1
        self.taken_bytes += len(line)

    def _sent(self, lines: list[bytes]) -> Iterator[bytes]:
        """Yield each line once the kernel has taken all of it."""
        connection = self._connected()
        for line in lines:
            rest = memoryview(line)
            while rest:
                rest = rest[connection.send(rest) :]
            self.pause_seconds = FIRST_PAUSE_SECONDS
            yield line

    def _connected(self) -> socket.socket:
        if self.connection is not None and _has_ended(self.connection):
            self._disconnect()
        if self.connection is None:
            plain = socket.create_connection((self.host, self.port), CONNECT_SECONDS)
            try:
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                wrapped = (
                    self.context.wrap_socket(plain, server_hostname=self.host)
                    if self.context
                    else plain
                )
            except (OSError, ValueError):
                plain.close()
                raise
            wrapped.settimeout(STALLED_SECONDS)
            self.connection = wrapped
        return self.connection

    def _disconnect(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.close()

    def _complain(self, reason: str) -> None:
        """Report a failure on stderr, at most once a minute; logging it would queue yet another line."""
        now = time.monotonic()
        if now - self.complained_at < COMPLAIN_SECONDS:
            return
        self.complained_at = now
        line = {
            "@timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "log.level": "warning",
            "service.name": "devops-portal",
            "log.logger": __name__,
            "message": f"Logs cannot be sent to {self.host}:{self.port} (LOGSTASH_URL): {reason}."
            f" {self.put_lines - self.taken_lines} lines are waiting, {self.lost} were dropped."
            " Start Logstash, or correct LOGSTASH_URL.",
        }
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(json.dumps(line) + "\n")


def _has_ended(connection: socket.socket) -> bool:
    """Return whether the receiver has closed the connection; discard anything it sent."""
    readable, _, _ = select.select([connection], [], [], 0)
    if not readable:
        return False
    connection.settimeout(0)
    try:
        return connection.recv(4096) == b""
    except (BlockingIOError, ssl.SSLWantReadError):  # a TLS session ticket, not data
        return False
    except OSError:
        return True
    finally:
        connection.settimeout(STALLED_SECONDS)


class LogstashHandler(logging.Handler):
    """Queues each record for the shipper of this process; neither blocks nor raises."""

    def __init__(self, url: str) -> None:
        super().__init__()
        parts = urlsplit(url)
        # Load this codec now: Python would load it at the first name lookup, which fails at interpreter shutdown.
        self.host = (parts.hostname or "").encode("idna").decode()
        self.port = parts.port or 0
        self.context = ssl.create_default_context() if parts.scheme == "tls" else None
        self.shipper = self._new_shipper()

    def _new_shipper(self) -> Shipper:
        return Shipper(self.host, self.port, self.context)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if self.shipper.pid != os.getpid():
                self._leave_to_parent()
            kept = self.shipper.put(self.format(record).encode("utf-8", "replace") + b"\n")
        except Exception:  # a request must never fail because of a log line
            kept = False
        if not kept:
            self.shipper.lost += 1
            with _counting:
                DROPPED.labels(SINK).inc()

    def _leave_to_parent(self) -> None:
        """After a fork, leave queue and connection to the parent, and start new ones in this process."""
        inherited, self.shipper = self.shipper, self._new_shipper()
        inherited._disconnect()

    def flush(self) -> None:
        if self.shipper.pid == os.getpid():
            self.shipper.drain(EXIT_SECONDS)

    def close(self) -> None:
        """Send the queued lines, for at most EXIT_SECONDS; logging calls this when the process ends."""
        shipper = self.shipper
        shipper.stopping.set()
        if shipper.pid == os.getpid():
            shipper.drain(EXIT_SECONDS)
            left = shipper.put_lines - shipper.taken_lines
            if left > 0:
                DROPPED.labels(SINK).inc(left)
        super().close()
