"""A receiver of OpenTelemetry's traces over HTTP, for tests: protobuf and JSON."""

import gzip
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# In a process of its own: this one hides OpenTelemetry, as the portal does without an endpoint.
DECODE = """
import json, sys
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest as Request
spans = []
for body in json.load(sys.stdin):
    for resource in Request.FromString(bytes.fromhex(body)).resource_spans:
        for scope in resource.scope_spans:
            kind = scope.scope.name.rpartition(".")[2]
            spans += [(kind, span.name, span.trace_id.hex()) for span in scope.spans]
print(json.dumps(spans))
"""


class Receiver(ThreadingHTTPServer):
    """Takes OTLP over HTTP, and keeps the bodies."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.bodies: list[str] = []
        self.documents: list[bytes] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def spans(self) -> list[list[str]]:
        """Return instrumentation, name and trace id of each span."""
        found = [span for body in self.documents for span in _in_json(body)]
        return found + self._decoded() if self.bodies else found

    def _decoded(self) -> list[list[str]]:
        found = subprocess.run(
            [sys.executable, "-c", DECODE],
            input=json.dumps(self.bodies), capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        return list(json.loads(found.stdout))


def _in_json(body: bytes) -> Iterator[list[str]]:
    for resource in json.loads(body).get("resourceSpans", []):
        for scope in resource["scopeSpans"]:
            kind = scope["scope"]["name"].rpartition("/")[2]
            yield from ([kind, span["name"], span["traceId"]] for span in scope["spans"])


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_GET(self) -> None:
        self.send_response(204)
        self.end_headers()

    def do_POST(self) -> None:
        body = self._body()
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        if self.headers.get("Content-Type", "").startswith("application/json"):
            self.server.documents.append(body)
        else:
            self.server.bodies.append(body.hex())
        self.send_response(200)
        self.end_headers()

    def _body(self) -> bytes:
        if length := self.headers.get("Content-Length"):
            return self.rfile.read(int(length))
        parts = []  # Node.js sends in chunks
        while size := int(self.rfile.readline().strip() or b"0", 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        return b"".join(parts)

    def log_message(self, *_args: object) -> None: ...


@contextmanager
def receiving() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
