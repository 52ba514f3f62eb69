"""A TCP receiver of lines, in place of Logstash: it may hang, go away, come back, or hang up within a line."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable


def until(condition: Callable[[], bool], complaint: str, seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, complaint
        time.sleep(0.01)


class Receiver:
    """`cut_after` hangs up once after so many bytes; `deaf` accepts and never reads; `tls` encrypts."""

    def __init__(
        self, *, port: int = 0, cut_after: int = 0, deaf: bool = False, tls: ssl.SSLContext | None = None
    ) -> None:  # fmt: skip
        self.cut_after, self.deaf, self.tls = cut_after, deaf, tls
        self.received: list[bytes] = []
        self.connections: list[socket.socket] = []
        self.listening = socket.create_server(("127.0.0.1", port))
        self.port: int = self.listening.getsockname()[1]
        self.accepting = threading.Thread(target=self._accept, daemon=True)
        self.accepting.start()

    @property
    def url(self) -> str:
        return f"{'tls' if self.tls else 'tcp'}://127.0.0.1:{self.port}"

    @property
    def lines(self) -> list[bytes]:
        """Return the whole lines, in the order of their connections; what was cut off is left out."""
        return [line for part in self.received for line in part.split(b"\n")[:-1]]

    def stop(self) -> None:
        for open_one in (self.listening, *self.connections):
            with contextlib.suppress(OSError):  # wakes the thread that waits for it
                open_one.shutdown(socket.SHUT_RDWR)
        self.accepting.join()
        for open_one in (self.listening, *self.connections):
            open_one.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            self.connections.append(connection)
            if not self.deaf:
                threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    def _read(self, connection: socket.socket) -> None:
        if self.tls is not None:
            try:
                connection = self.tls.wrap_socket(connection, server_side=True)
            except OSError:
                return
            self.connections.append(connection)
        number = len(self.received)
        self.received.append(b"")
        while True:
            cut, self.cut_after = self.cut_after, 0
            try:
                data = connection.recv(cut or 65536)
            except OSError:
                return
            if not data:
                return
            self.received[number] += data
            if cut:
                connection.close()
                return
