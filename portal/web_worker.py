"""gunicorn's threaded worker with an end to patience: a client that drips its request frees the thread.

gunicorn's own `timeout` watches the process, not a connection: eight slow clients would stop the portal.
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
    """Answer what never became a request as the API answers everything: by a problem (RFC 9457)."""
    detail = DETAILS.get(status) or f"The request cannot be read: {said or reason}."
    facts = {"type": "about:blank", "title": reason, "status": status, "detail": detail}
    body = json.dumps(facts | {"instance": "", "request_id": ""}).encode()
    head = (
        f"HTTP/1.1 {status} {reason}\r\nConnection: close\r\nContent-Type: application/problem+json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    util.write_nonblock(sock, head.encode("latin-1") + body)


util.write_error = write_problem  # gunicorn offers no setting for it, and writes HTML


class BoundedThreadWorker(ThreadWorker):
    """Stops reading from a connection whose request has not ended after `READ_SECONDS`.

    Only reading stops: a long download goes on, and a complete request is answered.
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
        """End the incoming side of the connections whose request began earlier than `before`."""
        for conn, began in list(self.began.items()):
            if began < before:
                with contextlib.suppress(OSError):
                    conn.sock.shutdown(socket.SHUT_RD)
