"""What a plugin of Apprise is made to tell: the answers of its requests, and what it logs, per thread."""

import logging
import threading
from typing import Any

import requests

VERBS = ("request", "get", "post", "put", "patch", "delete", "head")
MAX_ANSWER_BYTES = 1024 * 1024
heard = threading.local()


class ThrottledError(Exception):
    """A 429: ends the delivery at once, where some plugins would sleep and try again by themselves."""


class Ear(logging.Handler):
    """Keeps what Apprise logs in this thread, for as long as somebody listens."""

    def emit(self, record: logging.LogRecord) -> None:
        lines: list[str] | None = getattr(heard, "lines", None)
        if lines is not None and len(lines) < 100:
            lines.append(record.getMessage())


class Requests:
    """What a plugin takes for the module `requests`: the same, and each answer is remembered."""

    def __getattr__(self, name: str) -> Any:
        return self._listening(name) if name in VERBS else getattr(requests, name)

    @staticmethod
    def _listening(verb: str) -> Any:
        def send(*args: Any, **kwargs: Any) -> requests.Response:
            kwargs |= {"allow_redirects": False, "stream": True}
            reply: requests.Response = getattr(requests, verb)(*args, **kwargs)
            _bound(reply)
            heard.reply = reply
            if reply.status_code == 429:
                raise ThrottledError
            return reply

        return send


def _bound(reply: requests.Response) -> None:
    """Read the beginning of an answer: a provider that sends without end fills no memory."""
    body = b""
    with reply:
        for chunk in reply.iter_content(64 * 1024):
            body += chunk
            if len(body) >= MAX_ANSWER_BYTES:
                break
    reply._content, reply._content_consumed = body[:MAX_ANSWER_BYTES], True  # type: ignore[attr-defined]
