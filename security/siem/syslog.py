"""Builds RFC 5424 messages and frames them by octet count (RFC 6587 §3.4.1, RFC 5425 §4.3); pure."""

from collections.abc import Mapping
from datetime import UTC, datetime

LOG_AUDIT = 13
# From OCSF's severities, 1 (informational) to 6 (fatal), to syslog's
SEVERITIES = {1: 6, 2: 5, 3: 4, 4: 3, 5: 2, 6: 1}


def _name(value: str, limit: int) -> str:
    """Return a header field: printable US-ASCII without blanks, or the nil value."""
    clean = "".join(char if "!" <= char <= "~" else "_" for char in value[:limit])
    return clean or "-"


def _element(name: str, parameters: Mapping[str, str]) -> str:
    """Return one element of structured data; quote, backslash and bracket are escaped (§6.3.3)."""
    written = "".join(
        ' {}="{}"'.format(key, value.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]"))
        for key, value in parameters.items()
    )
    return f"[{name}{written}]"


def message(
    *,
    severity: int,
    at: datetime,
    host: str,
    app: str,
    process: str,
    message_id: str,
    data: Mapping[str, Mapping[str, str]],
    body: str,
    limit: int,
) -> bytes:
    """Return one message of at most `limit` octets; a longer body is cut between two characters."""
    priority = LOG_AUDIT * 8 + SEVERITIES.get(severity, 6)
    moment = f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"
    elements = "".join(_element(name, values) for name, values in data.items()) or "-"
    head = (
        f"<{priority}>1 {moment} {_name(host, 255)} {_name(app, 48)} {_name(process, 128)}"
        f" {_name(message_id, 32)} {elements} "
    ).encode()
    text = body.encode("utf-8", "replace")
    room = max(limit - len(head), 0)
    if len(text) > room:
        text = text[:room].decode("utf-8", "ignore").encode()
    return head + text


def frame(content: bytes) -> bytes:
    """Return the message prefixed with its length in octets, so that any content is transmitted intact."""
    return b"%d %b" % (len(content), content)
