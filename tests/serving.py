"""An HTTP server on loopback for as long as a test needs it."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextmanager
def serving(
    handler: type[BaseHTTPRequestHandler], *, tls: ssl.SSLContext | None = None
) -> Iterator[int]:
    """Serve with `handler`, a thread per connection, and yield the port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True  # a handler that hangs on purpose holds up no end
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    polling = {"poll_interval": 0.02}
    threading.Thread(target=server.serve_forever, kwargs=polling, daemon=True).start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
