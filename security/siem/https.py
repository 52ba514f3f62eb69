"""Posts batches of JSON lines (application/x-ndjson) to an HTTPS collector, which acknowledges them with a 2xx."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit

from portal.core.http import Client, Fault, Reply, Target, UpstreamError, words_of
from portal.core.retry import retry_at
from security.siem.transport import TransportError

CONTENT_TYPE = "application/x-ndjson"
REQUEST_SECONDS = 30.0
BATCH_SECONDS = 60.0  # within the lease of a destination
ANSWER_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Collector:
    """Where to post, with which bearer token, and which authorities to trust (PEM; empty: the system's)."""

    name: str
    url: str
    token: str = field(default="", repr=False)
    ca_pem: str = ""

    @property
    def peer(self) -> str:
        return urlsplit(self.url).netloc


def deliver(collector: Collector, lines: Sequence[bytes]) -> None:
    """Post the lines; split a batch that is too large for the collector in halves. Raises TransportError."""
    ends = time.monotonic() + BATCH_SECONDS
    with _authority(collector.ca_pem) as ca_file:
        target = Target(
            name=f"siem {collector.name}", base_url=collector.url, ca_file=ca_file, truncate=True,
            credentials={"token": collector.token}, timeout_seconds=REQUEST_SECONDS, max_body_bytes=ANSWER_BYTES,
        )  # fmt: skip
        with Client(target) as client:
            _post(client, collector, lines, ends)


def _post(client: Client, collector: Collector, lines: Sequence[bytes], ends: float) -> None:
    if time.monotonic() >= ends:
        raise TransportError(
            f"{collector.peer} did not accept the batch within {BATCH_SECONDS:g} s."
        )
    try:
        reply = client.post_bytes("", b"".join(lines), content_type=CONTENT_TYPE)
    except UpstreamError as error:
        raise TransportError(_failure(collector, error)) from error
    if reply.status == 413 and len(lines) > 1:
        middle = len(lines) // 2
        _post(client, collector, lines[:middle], ends)
        _post(client, collector, lines[middle:], ends)
    elif reply.status >= 300:
        raise _refusal(collector, reply)


def _failure(collector: Collector, error: UpstreamError) -> str:
    """Return a sentence for a request that got no answer; it refers to the destination's fields."""
    if error.fault is Fault.TLS:
        return (
            f"No trusted TLS connection to {collector.peer} could be established. Check the name and expiry of"
            " its certificate, or set the certificate of its CA."
        )
    if error.fault is Fault.TIMEOUT:
        return f"{collector.peer} did not answer within {REQUEST_SECONDS:g} s. See the log of that server."
    return str(error)


def _refusal(collector: Collector, reply: Reply) -> TransportError:
    """Return what an error status means, and when the collector accepts requests again."""
    status, said = reply.status, words_of(reply)
    until = retry_at(reply.headers, now=datetime.now(UTC), skew_seconds=reply.skew_seconds or 0)
    if status == 429 or (status >= 500 and until):
        when = f"until {until:%H:%M:%S} UTC" if until else "for now"
        return TransportError(
            f"{collector.peer} accepts nothing {when} (HTTP {status}{said}).", until=until
        )
    cures = {
        401: "rejected the token. Set a valid token for the destination",
        403: "does not allow this token to send. Give it the permission, or set another one",
        404: "has no such path. Correct the URL",
        405: "does not accept POST at this path. Correct the URL",
        413: "does not accept entries of this size. Lower the destination's longest message",
        415: f"does not accept {CONTENT_TYPE}. Set its input to JSON lines",
    }
    cure = cures.get(status) or (
        "failed. See the log of that server"
        if status >= 500
        else "rejected the batch. Check its log for the reason"
    )
    return TransportError(f"{collector.peer} {cure} (HTTP {status}{said}).")


@contextmanager
def _authority(pem: str) -> Iterator[str]:
    """Yield the path of a temporary file with the PEM, because the TLS library reads authorities only from files."""
    if not pem:
        yield ""
        return
    with tempfile.NamedTemporaryFile("w", suffix=".pem", prefix="siem-") as file:
        file.write(pem)
        file.flush()
        yield file.name
