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


def take(session: SessionBase, secret: str) -> dict[str, Any]:
    """Return the facts that hold `secret` and forget them; nothing when they waited too long.

    What belongs to another page waits for that one: looking at this one must not lose it.
    """
    cipher = session.get(_KEY)
    try:
        facts: dict[str, Any] = json.loads(crypto.decrypt(cipher)) if cipher else {}
    except ValueError:  # its key is lost, and so is the secret
        return {}
    if secret not in facts:
        return {}
    del session[_KEY]
    return facts if time.time() - facts.pop("at") <= MAX_AGE_SECONDS else {}
