"""Writes the second copy of the trail, `audit-YYYY-MM-DD.jsonl`, safely from any number of processes.

A file named by date needs no rotation, so that no process renames a file that others are writing to
(TimedRotatingFileHandler loses most lines that way). With O_APPEND and one `write` per line, lines do
not mix.
"""

import json
import logging
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from prometheus_client import Counter

log = logging.getLogger(__name__)
LINE_LIMIT_BYTES = 32 * 1024
FAILURES = Counter(
    "portal_audit_file_failures_total", "Audit lines that could not be written to the file."
)


def path_for(moment: datetime) -> Path:
    return Path(settings.AUDIT_LOG_DIR) / f"audit-{moment.astimezone(UTC):%Y-%m-%d}.jsonl"


def encode(fields: dict[str, Any]) -> bytes:
    """Return one line. It is escaped to ASCII, so that no content can break or forge a line."""
    line = json.dumps(fields, ensure_ascii=True, separators=(",", ":"), default=str)
    if len(line) >= LINE_LIMIT_BYTES:
        slim = {
            key: value
            for key, value in fields.items()
            if key not in ("portal.changes", "portal.data", "portal.targets")
        }
        line = json.dumps(
            {**slim, "portal.truncated": True},
            ensure_ascii=True,
            separators=(",", ":"),
            default=str,
        )
    return line.encode("ascii") + b"\n"


def write(fields: dict[str, Any], *, at: datetime) -> bool:
    """Append one line; False (logged and counted) if that fails, in which case the row is still written."""
    return write_all([fields], at=at)


def write_all(documents: Iterable[dict[str, Any]], *, at: datetime) -> bool:
    """Append a line for each entry, opening the file once; False if writing any of them fails."""
    path = path_for(at)
    lines = [encode(fields) for fields in documents]
    written = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        try:
            for line in lines:  # one call per line: a larger write could be split between processes
                if os.write(descriptor, line) != len(line):
                    raise OSError("only a part of a line could be written")
                written += 1
        finally:
            os.close(descriptor)
    except OSError as error:
        FAILURES.inc(len(lines) - written)
        log.error(
            "%d audit lines could not be written to %s (%s). Free the disk or correct AUDIT_LOG_DIR.",
            len(lines) - written,
            path,
            error,
        )
        return False
    return True
