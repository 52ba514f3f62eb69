"""Writes a log file that any number of processes can share: one write per line, and no renaming.

The file is opened for each line, so that an external log rotation need not notify the processes.
"""

import logging
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from portal.core.log_lines import DROPPED, SHIPPED

COMPLAIN_SECONDS = 60


class LineFileHandler(logging.Handler):
    """Appends to `path`, which may contain strftime codes such as `%Y-%m-%d` for the day in UTC."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path
        self.complained_at = -float(COMPLAIN_SECONDS)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._write(record)
        except Exception as error:  # a request must never fail because of a log line
            DROPPED.labels("file").inc()
            self._complain(error)
        else:
            SHIPPED.labels("file").inc()

    def _write(self, record: logging.LogRecord) -> None:
        line = self.format(record).encode("utf-8", "backslashreplace") + b"\n"
        day = datetime.fromtimestamp(record.created, UTC)
        path = Path(day.strftime(self.path) if "%" in self.path else self.path)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        try:
            if os.write(descriptor, line) != len(line):
                raise OSError("only a part of the line could be written")
        finally:
            os.close(descriptor)

    def _complain(self, error: Exception) -> None:
        now = time.monotonic()
        if now - self.complained_at >= COMPLAIN_SECONDS:
            self.complained_at = now
            sys.stderr.write(
                f"LOG_FILE {self.path} cannot be written: {error}. Free the disk, or correct LOG_FILE.\n"
            )
