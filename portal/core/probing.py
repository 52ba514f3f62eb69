"""How a server of each kind is asked once, without touching what is stored.

The kinds belong to apps that may not import each other: each registers its own when it is loaded.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from portal.core.models import Upstream


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said: a sentence, and what to judge further; `failure` when it does not do all it should.

    `has_hook` is of Alertmanager: whether its configuration names our webhook, None when that cannot
    be seen; `firing_since` is when the oldest of the young alerts that it must have told us of began.
    """

    sentence: str
    skew_seconds: float | None = None
    failure: str = ""
    has_hook: bool | None = None
    firing_since: datetime | None = None


Asker = Callable[[Upstream], Answer]
_ASKERS: dict[str, Asker] = {}


def register(kind: str, asker: Asker) -> None:
    """Say how servers of `kind` are asked. An asker reads no database, and raises UpstreamError."""
    _ASKERS[kind] = asker


def asker_of(kind: str) -> Asker | None:
    return _ASKERS.get(kind)
