"""Sends bytes to a syslog receiver by TCP or TLS, and returns once the receiver has read them all.

Syslog has no acknowledgement. A connection per batch makes one of its end: we close our side, and
only a receiver that has read to that end closes the other. A reset means that something was lost.
"""

import contextlib
import socket
import ssl
from dataclasses import dataclass
from datetime import datetime

from portal.core import sockets

CONNECT_SECONDS = 10.0
BATCH_SECONDS = 30.0


class WireError(Exception):
    """The batch did not arrive for certain; the message is a sentence. `until`: the receiver's own wish."""

    def __init__(self, sentence: str, *, until: datetime | None = None) -> None:
        super().__init__(sentence)
        self.until = until


@dataclass(frozen=True, slots=True)
class Place:
    host: str
    port: int
    tls: bool
    ca_pem: str = ""


def deliver(place: Place, content: bytes, *, seconds: float = BATCH_SECONDS) -> None:
    """Send `content` over a connection of its own. Raises WireError."""
    where = f"{place.host}:{place.port}"
    try:
        with sockets.deadline(seconds):
            plain = sockets.connect(place.host, place.port, timeout_seconds=CONNECT_SECONDS)
            with plain:
                plain.settimeout(seconds)
                _send(place, plain, content)
    except sockets.ForbiddenAddressError as error:
        raise WireError(f"{where} leads to {error}, an address that is never asked.") from error
    except ssl.SSLCertVerificationError as error:
        raise WireError(
            f"The certificate of {where} is not accepted: {error.verify_message}. Correct its name, or give"
            " the certificate of its authority."
        ) from error
    except TimeoutError as error:
        raise WireError(f"{where} did not take the batch within {seconds:g} s.") from error
    except ConnectionRefusedError as error:
        raise WireError(
            f"Nothing listens at {where}. Start the receiver, or correct the URL."
        ) from error
    except (OSError, ValueError) as error:
        raise WireError(f"The connection to {where} failed: {error}.") from error


def _send(place: Place, plain: socket.socket, content: bytes) -> None:
    if not place.tls:
        plain.sendall(content)
        _await_end(plain)
        return
    context = ssl.create_default_context(cadata=place.ca_pem or None)
    with context.wrap_socket(plain, server_hostname=place.host) as stream:
        stream.sendall(content)
        # Some receivers answer our close_notify with theirs, others just close.
        with contextlib.suppress(ssl.SSLEOFError, ssl.SSLZeroReturnError):
            _await_end(stream.unwrap())


def _await_end(stream: socket.socket) -> None:
    """Close our side and wait until the receiver closes the other. Raises OSError for a reset."""
    with contextlib.suppress(OSError):
        stream.shutdown(socket.SHUT_WR)
    while stream.recv(4096):
        pass
