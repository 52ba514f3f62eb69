"""Secrets that are shown exactly once: kept encrypted in the session until the page that shows them."""

import json
import time
from typing import Any

from django.contrib.sessions.backends.base import SessionBase

from portal.core import crypto

_KEY = "portal_once"
MAX_AGE_SECONDS = 300


def put(session: SessionBase, **facts: Any) -> None:
    """Keep `facts` for the next page; an earlier secret that was never shown is dropped."""
    session[_KEY] = crypto.encrypt(json.dumps({"at": time.time(), **facts}))


def take(session: SessionBase) -> dict[str, Any] | None:
    """Return the facts and forget them; None when there are none, or they waited too long."""
    cipher = session.pop(_KEY, None)
    if cipher is None:
        return None
    try:
        facts: dict[str, Any] = json.loads(crypto.decrypt(cipher))
    except ValueError:
        return None
    return facts if time.time() - facts.pop("at") <= MAX_AGE_SECONDS else None
