"""Passes on secrets that are shown exactly once, encrypted in the session until a page shows them."""

import json
import time
from typing import Any

from django.contrib.sessions.backends.base import SessionBase

from portal.core import crypto

_KEY = "portal_once"
MAX_AGE_SECONDS = 300


def put(session: SessionBase, **facts: Any) -> None:
    """Store `facts` for the page that shows them; replaces an earlier secret that was never shown."""
    session[_KEY] = crypto.encrypt(json.dumps({"at": time.time(), **facts}))


def take(session: SessionBase, secret: str) -> dict[str, Any]:
    """Return and delete the facts if they contain `secret`; empty otherwise, or after MAX_AGE_SECONDS.

    Facts for another page are left in the session.
    """
    cipher = session.get(_KEY)
    try:
        facts: dict[str, Any] = json.loads(crypto.decrypt(cipher)) if cipher else {}
    except ValueError:  # the encryption key is lost, and so is the secret
        return {}
    if secret not in facts:
        return {}
    del session[_KEY]
    return facts if time.time() - facts.pop("at") <= MAX_AGE_SECONDS else {}
