"""Formats each log line as a JSON object in ECS field names, with the request it belongs to."""

import logging
import socket
from datetime import UTC, datetime
from typing import Any

from pythonjsonlogger.json import JsonFormatter

from portal.core import request_context, sanitize

HOST = socket.gethostname()
REASON_LIMIT = 300
# Django adds the request to the record of a 4xx; it would be logged with its query, which may hold secrets.
LEFT_OUT = ("message", "exc_info", "taskName", "request")


class RefusalsInOneLine(logging.Filter):
    """Logs a refused request (4xx) as one line with its reason: no code failed, so a stack trace helps no one."""

    def filter(self, record: logging.LogRecord) -> bool:
        status = getattr(record, "status_code", 0)
        if not isinstance(status, int) or not 400 <= status < 500:
            return True
        error = record.exc_info[1] if record.exc_info else None
        told = getattr(getattr(record, "request", None), "refused_because", "")
        reason = " ".join(str(error or told).split())[:REASON_LIMIT]
        record.exc_info, record.exc_text = None, None
        said = record.getMessage()
        if reason and reason not in said:
            record.msg, record.args = "%s (%s)", (said, reason)
        return True


class NoSecrets(logging.Filter):
    """Removes tokens and one-time links from a line: Django logs the path of a refused request."""

    def filter(self, record: logging.LogRecord) -> bool:
        said = record.getMessage()
        clean = sanitize.without_secrets(said)
        if clean != said:
            record.msg, record.args = clean, None
        return True


class EcsFormatter(JsonFormatter):
    """Formats a record as ECS 8 JSON; extra fields given by the caller keep their dotted names."""

    def add_fields(
        self, log_record: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]
    ) -> None:
        super().add_fields(log_record, record, message_dict)
        extra = {key: value for key, value in log_record.items() if key not in LEFT_OUT}
        context = request_context.current()
        fields = {
            "@timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(
                timespec="milliseconds"
            ),
            "log.level": record.levelname.lower(),
            "message": record.getMessage(),
            "ecs.version": "8.17",
            "service.name": "devops-portal",
            "host.name": HOST,
            "log.logger": record.name,
            "process.pid": record.process,
            "http.request.id": context.request_id or None,
            "trace.id": request_context.trace_id() or None,
            **extra,
        }
        if record.exc_info:
            fields["error.stack_trace"] = self.formatException(record.exc_info)
        log_record.clear()
        log_record.update({key: value for key, value in fields.items() if value is not None})
