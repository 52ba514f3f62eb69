"""Formats a log record as one bounded line of JSON, and counts lines that were shipped or dropped."""

import json
import logging
from typing import Any

from prometheus_client import Counter

from portal.core.logs import EcsFormatter

LINE_LIMIT_BYTES = 64 * 1024
TEXT_LIMIT = (
    4000  # per field, in a line that is too long; an escaped character takes up to 12 bytes
)
MARKER = "portal.truncated"
ALWAYS = ("@timestamp", "log.level", "message", "service.name", "host.name", "log.logger")

SHIPPED = Counter(
    "portal_log_lines_shipped_total",
    "Log lines delivered to a file or to Logstash.",
    ["sink"],
)
DROPPED = Counter(
    "portal_log_lines_dropped_total",
    "Log lines dropped because the queue was full or the sink failed.",
    ["sink"],
)


class LineFormatter(EcsFormatter):
    """Formats like EcsFormatter; a line above the limit is shortened and marked, and remains valid JSON."""

    def format(self, record: logging.LogRecord) -> str:
        line = str(super().format(record))
        return line if len(line) < LINE_LIMIT_BYTES else shortened(line)


def shortened(line: str) -> str:
    """Return the line with long texts cut; if that is still too long, with only the most important fields."""
    fields: dict[str, Any] = json.loads(line)
    for kept in (fields, {name: fields.get(name) for name in ALWAYS}):
        slim = {name: _cut(value) for name, value in kept.items()} | {MARKER: True}
        written = json.dumps(slim)
        if len(written) < LINE_LIMIT_BYTES:
            return written
    return json.dumps({MARKER: True, "message": _cut(str(fields.get("message")))})


def _cut(value: Any) -> Any:
    if isinstance(value, str) and len(value) > TEXT_LIMIT:
        return f"{value[:TEXT_LIMIT]}… [{len(value) - TEXT_LIMIT} characters cut]"
    return value
