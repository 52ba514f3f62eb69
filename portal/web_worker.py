"""Limits how long gunicorn's threaded worker reads a request, so that a slow client cannot block a thread.

gunicorn's `timeout` watches the process, not the connection: eight slow clients would block the portal.
"""

import contextlib
import json
import socket
import threading
import time
from typing import Any

from gunicorn import util  # type: ignore[import-untyped]
from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

READ_SECONDS = 30.0  # the largest body, 10 MB, at 3 Mbit/s
SWEEP_SECONDS = 1.0

DETAILS = {
    414: "The URL of the request is longer than 8190 bytes. Shorten its query.",
    431: "The request has more than 100 headers, or one that is longer than 8190 bytes. Send fewer or shorter ones.",
    500: "An error occurred in the portal. Its log has the details.",
}


def write_problem(sock: Any, status: int, reason: str, said: str) -> None:
    """Answer a request that cannot be parsed with a problem document (RFC 9457), as the API does."""
    detail = DETAILS.get(status) or f"The request cannot be read: {said or reason}."
    facts = {"type": "about:blank", "title": reason, "status": status, "detail": detail}
    body = json.dumps(facts | {"instance": "", "request_id": ""}).encode()
    head = (
        f"HTTP/1.1 {status} {reason}\r\nConnection: close\r\nContent-Type: application/problem+json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    util.write_nonblock(sock, head.encode("latin-1") + body)


util.write_error = write_problem  # gunicorn writes HTML, and has no setting for it


class BoundedThreadWorker(ThreadWorker):
    """Stops reading from a connection whose request is not complete after `READ_SECONDS`.

    Only reading stops: a long download continues, and a complete request is answered.
    """

    read_seconds = READ_SECONDS

    def init_process(self) -> None:
        self.began: dict[Any, float] = {}
        threading.Thread(target=self._sweep, name="slow-clients", daemon=True).start()
        super().init_process()

    def handle(self, conn: Any) -> Any:
        self.began[conn] = time.monotonic()
        try:
            return super().handle(conn)
        finally:
            del self.began[conn]

    def _sweep(self) -> None:
        while True:
            time.sleep(SWEEP_SECONDS)
            self.stop_reading(before=time.monotonic() - self.read_seconds)

    def stop_reading(self, *, before: float) -> None:
        """Shut down reading on the connections whose request began earlier than `before`."""
        for conn, began in list(self.began.items()):
            if began < before:
                with contextlib.suppress(OSError):
                    conn.sock.shutdown(socket.SHUT_RD)
