"""Sends a batch to a syslog receiver over TCP or TLS, and returns once the receiver has read all of it.

Syslog has no acknowledgement, so the end of the connection serves as one: each batch has its own
connection, our side is shut down after the last byte, and the receiver closes its side once it has read
everything. A reset means that data was lost.
"""

import contextlib
import socket
import ssl
from dataclasses import dataclass
from datetime import datetime

from portal.core import sockets

CONNECT_SECONDS = 10.0
BATCH_SECONDS = 30.0


class TransportError(Exception):
    """The batch may not have arrived; the message says why. `until` is when the receiver wants a retry."""

    def __init__(self, sentence: str, *, until: datetime | None = None) -> None:
        super().__init__(sentence)
        self.until = until


@dataclass(frozen=True, slots=True)
class SyslogReceiver:
    host: str
    port: int
    tls: bool
    ca_pem: str = ""


def deliver(receiver: SyslogReceiver, content: bytes, *, seconds: float = BATCH_SECONDS) -> None:
    """Send `content` over a separate connection. Raises TransportError."""
    peer = f"{receiver.host}:{receiver.port}"
    try:
        with sockets.deadline(seconds):
            plain = sockets.connect(receiver.host, receiver.port, timeout_seconds=CONNECT_SECONDS)
            with plain:
                plain.settimeout(seconds)
                _send(receiver, plain, content)
    except sockets.ForbiddenAddressError as error:
        raise TransportError(
            f"{peer} resolves to {error}, an address to which the portal never connects."
        ) from error
    except ssl.SSLCertVerificationError as error:
        raise TransportError(
            f"The certificate of {peer} is not accepted: {error.verify_message}. Correct its name, or set"
            " the certificate of its CA."
        ) from error
    except TimeoutError as error:
        raise TransportError(f"{peer} did not accept the batch within {seconds:g} s.") from error
    except ConnectionRefusedError as error:
        raise TransportError(
            f"Nothing is listening at {peer}. Start the receiver, or correct the URL."
        ) from error
    except (OSError, ValueError) as error:
        raise TransportError(f"The connection to {peer} failed: {error}.") from error


def _send(receiver: SyslogReceiver, plain: socket.socket, content: bytes) -> None:
    if not receiver.tls:
        plain.sendall(content)
        _await_end(plain)
        return
    context = ssl.create_default_context(cadata=receiver.ca_pem or None)
    with context.wrap_socket(plain, server_hostname=receiver.host) as stream:
        stream.sendall(content)
        # Some receivers answer our close_notify with their own, others just close.
        with contextlib.suppress(ssl.SSLEOFError, ssl.SSLZeroReturnError):
            _await_end(stream.unwrap())


def _await_end(stream: socket.socket) -> None:
    """Close our side and wait until the receiver closes the other. Raises OSError for a reset."""
    with contextlib.suppress(OSError):
        stream.shutdown(socket.SHUT_WR)
    while stream.recv(4096):
        pass
