"""Captures, per thread, the HTTP responses that an Apprise plugin gets and the lines that it logs."""

import logging
import threading
from typing import Any

import requests

VERBS = ("request", "get", "post", "put", "patch", "delete", "head")
MAX_ANSWER_BYTES = 1024 * 1024
captured = threading.local()


class RateLimitedError(Exception):
    """HTTP 429: ends the delivery at once, where some plugins would sleep and retry on their own."""


class LogCapture(logging.Handler):
    """Appends what Apprise logs in this thread to `captured.lines`, while that is a list."""

    def emit(self, record: logging.LogRecord) -> None:
        lines: list[str] | None = getattr(captured, "lines", None)
        if lines is not None and len(lines) < 100:
            lines.append(record.getMessage())


class CapturingRequests:
    """Stands in for the module `requests` in a plugin; the last response is kept in `captured.reply`."""

    def __getattr__(self, name: str) -> Any:
        return self._capturing(name) if name in VERBS else getattr(requests, name)

    @staticmethod
    def _capturing(verb: str) -> Any:
        def send(*args: Any, **kwargs: Any) -> requests.Response:
            kwargs |= {"allow_redirects": False, "stream": True}
            reply: requests.Response = getattr(requests, verb)(*args, **kwargs)
            _read_bounded(reply)
            captured.reply = reply
            if reply.status_code == 429:
                raise RateLimitedError
            return reply

        return send


def _read_bounded(reply: requests.Response) -> None:
    """Read at most MAX_ANSWER_BYTES of the body, so that an endless response cannot fill the memory."""
    body = b""
    with reply:
        for chunk in reply.iter_content(64 * 1024):
            body += chunk
            if len(body) >= MAX_ANSWER_BYTES:
                break
    reply._content, reply._content_consumed = body[:MAX_ANSWER_BYTES], True  # type: ignore[attr-defined]
