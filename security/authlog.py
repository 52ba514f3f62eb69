"""Logs a line for each refused sign-in or token, for fail2ban (docker/fail2ban/) and other log readers.

The address comes before any text chosen by a client, and that text is a JSON string in ASCII, so that
no input can break or forge a line. The file is opened for each line, so that it can be rotated by
renaming, and each line is a single write, so that lines of several processes do not mix.
"""

import json
import logging
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings

from portal.core import request_context, sanitize

log = logging.getLogger(__name__)
REASONS = ("bad_password", "unknown_user", "bad_otp", "bad_token", "throttled")


def failure(reason: str, *, user: Any = None) -> None:
    """Append a line about the current request; a failure to write is logged, never raised."""
    context = request_context.current()
    name = user.get_username() if user is not None else ""
    _append(line(reason, address=context.source_ip, path=context.url_path, user=name))


def line(
    reason: str, *, address: str | None, path: str, user: str, at: datetime | None = None
) -> str:
    """Return the line. An unknown user name is left empty: it may be a password typed into the wrong field."""
    assert reason in REASONS
    moment = (at or datetime.now(UTC)).astimezone(UTC)
    stamp = f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
    where = "".join(c if c.isascii() and c.isprintable() and c not in ' "' else "_" for c in path)
    who = json.dumps(sanitize.line(user, 150), ensure_ascii=True)
    return (
        f"{stamp} devops-portal[{os.getpid()}]: auth-failure ip={address or '-'} reason={reason}"
        f" path={where[:200] or '-'} user={who}\n"
    )


def _append(written: str) -> None:
    path = Path(settings.AUTH_LOG_FILE)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        try:
            if os.write(descriptor, written.encode("ascii")) != len(written):
                raise OSError("only a part of the line could be written")
        finally:
            os.close(descriptor)
    except OSError as error:
        log.error(
            "No line could be written to %s (%s). Free the disk or correct AUTH_LOG_FILE.",
            path,
            error,
        )
