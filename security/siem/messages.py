"""Sends a batch of entries in a destination's format: syslog messages, or lines of JSON by HTTPS."""

import socket
from collections.abc import Sequence

from audit import ecs
from audit.models import AuditEntry
from portal import __version__
from security.models.siem import SiemDestination, SiemFormat, collector_of, receiver_of
from security.siem import bodies, https, syslog, transport

APP = "devops-portal"


def send(destination: SiemDestination, entries: Sequence[AuditEntry]) -> None:
    """Return once the receiver has all of the entries. Raises TransportError."""
    if destination.is_https:
        lines = [line_of(entry, destination) for entry in entries]
        https.deliver(collector_of(destination), lines)
        return
    content = b"".join(syslog.frame(message_of(entry, destination)) for entry in entries)
    transport.deliver(receiver_of(destination.url, destination.ca_pem), content)


def line_of(entry: AuditEntry, destination: SiemDestination) -> bytes:
    """Return the entry as an ECS document on one line."""
    return bodies.ecs(ecs.document(entry), destination.max_bytes - 1).encode("ascii") + b"\n"


def message_of(entry: AuditEntry, destination: SiemDestination) -> bytes:
    """Return the syslog message of an entry, in the destination's format."""
    document, limit = ecs.document(entry), destination.max_bytes
    is_cef = destination.format == SiemFormat.CEF
    body = (
        bodies.cef(document, version=__version__) if is_cef else bodies.ecs(document, limit - 300)
    )
    return syslog.message(
        severity=entry.severity, at=entry.occurred_at, host=socket.gethostname(), app=APP, process="-",
        message_id=entry.action, body=body, limit=limit,
        data={"meta": {"sequenceId": str(entry.pk % 2147483647 + 1)},
              "origin": {"software": APP, "swVersion": __version__}},
    )  # fmt: skip
